// The blocked attention of attention.h: packing, one block of keys, and the division at the end.
#include "attention.h"

#include <float.h>

#include "elementwise.h"

namespace glimt {
namespace {

uint32_t tiles(const QueryBlock& block) { return (block.rows + kLanes - 1) / kLanes; }

// Keys every row of the tile sees, and keys some row of it sees.
struct Sight {
  uint32_t all, some;
};

Sight sightOf(const QueryBlock& block, uint32_t tile) {
  Sight sight = {UINT32_MAX, 0};
  uint32_t end = tile * kLanes + kLanes < block.rows ? tile * kLanes + kLanes : block.rows;
  for (uint32_t r = tile * kLanes; r < end; r++) {
    uint32_t visible = block.visible[r];
    sight.all = visible < sight.all ? visible : sight.all;
    sight.some = visible > sight.some ? visible : sight.some;
  }
  return sight;
}

// scores [keys][8] = K q: panels of all keys against queries [headDim][8].
void scoreTile(const float* keys, uint32_t count, const float* queries, uint32_t headDim, float* scores) {
  alignas(16) static const float zeros[kLanes] = {};
  Panels panels(count);
  for (uint32_t panel = 0; panel < panels.count; panel++) {
    uint32_t first = panels.first(panel), rows = panels.rows(panel);
    tileProduct(DType::f32, rows, 1)(keys + (size_t)first * headDim, rows, (const uint8_t*)queries, 0, headDim, zeros,
                                     scores + (size_t)first * kLanes, kLanes);
  }
}

// outputs [headDim][8] += Vᵀ P: values [keys][headDim] are panels as they lie.
void outputTile(const float* values, uint32_t count, const float* weights, uint32_t headDim, float* outputs) {
  Panels panels(headDim);
  for (uint32_t panel = 0; panel < panels.count; panel++) {
    uint32_t first = panels.first(panel);
    tileProduct(DType::f32, panels.rows(panel), 1)(values + first, headDim, (const uint8_t*)weights, 0, count, nullptr,
                                                   outputs + (size_t)first * kLanes, kLanes);
  }
}

// Scores of keys a lane does not see become -infinity.
void maskTile(const QueryBlock& block, uint32_t tile, uint32_t firstKey, uint32_t count, float* scores) {
  alignas(16) int32_t visible[kLanes];
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    uint32_t row = tile * kLanes + lane;
    visible[lane] = (int32_t)block.visible[row < block.rows ? row : block.rows - 1];
  }
  f32x4 hidden = splat(-INFINITY);
  v128_t v0 = wasm_v128_load(visible), v1 = wasm_v128_load(visible + 4);
  for (uint32_t j = 0; j < count; j++, scores += kLanes) {
    v128_t key = wasm_i32x4_splat((int32_t)(firstKey + j));
    store(scores, wasm_v128_bitselect(load(scores), hidden, wasm_i32x4_gt(v0, key)));
    store(scores + 4, wasm_v128_bitselect(load(scores + 4), hidden, wasm_i32x4_gt(v1, key)));
  }
}

// Turns the scores of four lanes into weights relative to the new maximum; returns exp(old maximum - new maximum).
f32x4 softmaxLanes(float* scores, uint32_t count, float* largest, float* sums) {
  // Places past the end, to a multiple of four, are there, and have weight 0.
  for (uint32_t j = count; j % 4; j++) store(scores + j * kLanes, splat(-INFINITY));
  f32x4 old = load(largest), max0 = old, max1 = old, max2 = old, max3 = old;
  for (uint32_t j = 0; j < count; j += 4) {
    const float* at = scores + j * kLanes;
    max0 = larger(max0, load(at)), max1 = larger(max1, load(at + kLanes));
    max2 = larger(max2, load(at + 2 * kLanes)), max3 = larger(max3, load(at + 3 * kLanes));
  }
  f32x4 max = larger(larger(max0, max1), larger(max2, max3));
  f32x4 sum0 = zero(), sum1 = zero(), sum2 = zero(), sum3 = zero();
  for (uint32_t j = 0; j < count; j += 4) {
    float* at = scores + j * kLanes;
    f32x4 p[4] = {sub(load(at), max), sub(load(at + kLanes), max), sub(load(at + 2 * kLanes), max),
                  sub(load(at + 3 * kLanes), max)};
    expEach(p);
    store(at, p[0]), store(at + kLanes, p[1]), store(at + 2 * kLanes, p[2]), store(at + 3 * kLanes, p[3]);
    sum0 = add(sum0, p[0]), sum1 = add(sum1, p[1]), sum2 = add(sum2, p[2]), sum3 = add(sum3, p[3]);
  }
  f32x4 fade = exp(sub(old, max));
  store(largest, max);
  store(sums, add(mul(load(sums), fade), add(add(sum0, sum1), add(sum2, sum3))));
  return fade;
}

}  // namespace

void packQueries(const QueryBlock& block, uint32_t headDim, float scale, const AttentionScratch& scratch) {
  for (uint32_t tile = 0; tile < tiles(block); tile++) {
    const float* rows[kLanes];
    // The last row stands in for those past the end.
    for (uint32_t lane = 0; lane < kLanes; lane++) {
      rows[lane] = block.q[tile * kLanes + lane < block.rows ? tile * kLanes + lane : block.rows - 1];
    }
    packPanel(rows, kLanes, headDim, scratch.queries + (size_t)tile * headDim * kLanes);
  }
  size_t count = (size_t)tiles(block) * headDim * kLanes;
  for (size_t i = 0; i < count; i += 4) {
    store(scratch.queries + i, mul(load(scratch.queries + i), splat(scale)));
    store(scratch.outputs + i, zero());
  }
  for (uint32_t r = 0; r < tiles(block) * kLanes; r++) scratch.largest[r] = -FLT_MAX, scratch.sums[r] = 0;
}

void packKeys(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed) {
  Panels cut(keys);
  for (uint32_t panel = 0; panel < cut.count; panel++) {
    uint32_t first = cut.first(panel);
    packPanel(rows + first, cut.rows(panel), headDim, packed + (size_t)first * headDim);
  }
}

void packValues(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed) {
  for (uint32_t j = 0; j < keys; j++) mapRow(rows[j], rows[j], packed + (size_t)j * headDim, headDim, [](f32x4 v, f32x4) { return v; });
}

void attendKeyBlock(const QueryBlock& block, uint32_t firstKey, uint32_t keys, uint32_t headDim,
                    const AttentionScratch& scratch) {
  float* scores = scratch.scores;
  for (uint32_t tile = 0; tile < tiles(block); tile++) {
    Sight sight = sightOf(block, tile);
    if (sight.some <= firstKey) continue;
    scoreTile(scratch.keys, keys, scratch.queries + (size_t)tile * headDim * kLanes, headDim, scores);
    if (sight.all < firstKey + keys) maskTile(block, tile, firstKey, keys, scores);
    float *largest = scratch.largest + tile * kLanes, *sums = scratch.sums + tile * kLanes;
    f32x4 fade0 = softmaxLanes(scores, keys, largest, sums);
    f32x4 fade1 = softmaxLanes(scores + 4, keys, largest + 4, sums + 4);
    float* outputs = scratch.outputs + (size_t)tile * headDim * kLanes;
    for (uint32_t d = 0; d < headDim; d++) {
      float* at = outputs + d * kLanes;
      store(at, mul(load(at), fade0)), store(at + 4, mul(load(at + 4), fade1));
    }
    outputTile(scratch.values, keys, scores, headDim, outputs);
  }
}

void writeOutputs(const QueryBlock& block, uint32_t headDim, const AttentionScratch& scratch) {
  for (uint32_t first = 0; first < block.rows; first += 4) {
    uint32_t rows = block.rows - first < 4 ? block.rows - first : 4;
    const float* from = scratch.outputs + (size_t)(first / kLanes) * headDim * kLanes + first % kLanes;
    f32x4 whole = load(scratch.sums + first);
    for (uint32_t d = 0; d < headDim; d += 4) {
      f32x4 v[4];
      uint32_t dims = headDim - d < 4 ? headDim - d : 4;
      for (uint32_t i = 0; i < 4; i++) v[i] = i < dims ? wasm_f32x4_div(load(from + (d + i) * kLanes), whole) : zero();
      transpose(v[0], v[1], v[2], v[3]);
      for (uint32_t r = 0; r < rows; r++) {
        if (dims == 4) store(block.y[first + r] + d, v[r]);
        else storePart(block.y[first + r] + d, v[r], dims);
      }
    }
  }
}

}  // namespace glimt
