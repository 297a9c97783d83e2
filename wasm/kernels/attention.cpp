// The blocked attention of attention.h: packing, one block of keys, and the division at the end.
#include "attention.h"

#include <float.h>

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

// y [rows][8] from `start`, or added to what is there: panels [k][..] of all rows, one behind another, times w [k][8].
void multiplyTile(const float* panels, uint32_t rows, const float* w, uint32_t k, const float* start, float* y) {
  Panels cut(rows);
  for (uint32_t panel = 0; panel < cut.count; panel++) {
    uint32_t first = cut.first(panel);
    TileProduct product = tileProduct(DType::f32, cut.rows(panel), 1);
    product(panels + (size_t)first * k, (const uint8_t*)w, 0, k, start, y + (size_t)first * kLanes, kLanes);
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
  f32x4 old = load(largest), max = old;
  for (uint32_t j = 0; j < count; j++) max = larger(max, load(scores + j * kLanes));
  f32x4 sum[4] = {zero(), zero(), zero(), zero()};
  auto weigh = [&](uint32_t j) {
    f32x4 p = exp(sub(load(scores + j * kLanes), max));
    store(scores + j * kLanes, p);
    return p;
  };
  uint32_t j = 0;
  for (; j + 4 <= count; j += 4) {
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) sum[i] = add(sum[i], weigh(j + i));
  }
  for (uint32_t i = 0; j + i < count; i++) sum[i] = add(sum[i], weigh(j + i));
  f32x4 fade = exp(sub(old, max));
  store(largest, max);
  store(sums, add(mul(load(sums), fade), add(add(sum[0], sum[1]), add(sum[2], sum[3]))));
  return fade;
}

}  // namespace

void packQueries(const QueryBlock& block, uint32_t headDim, float scale, const AttentionScratch& scratch) {
  uint32_t rows = tiles(block) * kLanes;
  for (uint32_t r = 0; r < rows; r++) {
    float* tile = scratch.queries + (size_t)(r / kLanes) * headDim * kLanes + r % kLanes;
    for (uint32_t d = 0; d < headDim; d++) tile[d * kLanes] = r < block.rows ? block.q[r][d] * scale : 0;
    scratch.largest[r] = -FLT_MAX;
    scratch.sums[r] = 0;
  }
  for (size_t i = 0; i < (size_t)headDim * rows; i++) scratch.outputs[i] = 0;
}

void packKeys(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed) {
  Panels cut(keys);
  for (uint32_t panel = 0; panel < cut.count; panel++) {
    uint32_t first = cut.first(panel);
    packPanel(rows + first, cut.rows(panel), headDim, packed + (size_t)first * headDim);
  }
}

// Panels of dimensions: [keys][dimensions] each.
void packValues(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed) {
  Panels cut(headDim);
  for (uint32_t panel = 0; panel < cut.count; panel++) {
    uint32_t first = cut.first(panel), count = cut.rows(panel);
    float* to = packed + (size_t)first * keys;
    for (uint32_t j = 0; j < keys; j++, to += count) {
      const float* from = rows[j] + first;
      if (count < 4) {
        for (uint32_t d = 0; d < count; d++) to[d] = from[d];
      } else {
        // The second four overlap the first.
        store(to, load(from));
        store(to + count - 4, load(from + count - 4));
      }
    }
  }
}

void attendKeyBlock(const QueryBlock& block, uint32_t firstKey, uint32_t keys, uint32_t headDim,
                    const AttentionScratch& scratch) {
  alignas(16) const float zeros[kLanes] = {};
  float* scores = scratch.scores;
  for (uint32_t tile = 0; tile < tiles(block); tile++) {
    Sight sight = sightOf(block, tile);
    if (sight.some <= firstKey) continue;
    multiplyTile(scratch.keys, keys, scratch.queries + (size_t)tile * headDim * kLanes, headDim, zeros, scores);
    if (sight.all < firstKey + keys) maskTile(block, tile, firstKey, keys, scores);
    float *largest = scratch.largest + tile * kLanes, *sums = scratch.sums + tile * kLanes;
    f32x4 fade0 = softmaxLanes(scores, keys, largest, sums);
    f32x4 fade1 = softmaxLanes(scores + 4, keys, largest + 4, sums + 4);
    float* outputs = scratch.outputs + (size_t)tile * headDim * kLanes;
    for (uint32_t d = 0; d < headDim; d++) {
      float* at = outputs + d * kLanes;
      store(at, mul(load(at), fade0)), store(at + 4, mul(load(at + 4), fade1));
    }
    multiplyTile(scratch.values, headDim, scores, keys, nullptr, outputs);
  }
}

void writeOutputs(const QueryBlock& block, uint32_t headDim, const AttentionScratch& scratch) {
  for (uint32_t r = 0; r < block.rows; r++) {
    const float* tile = scratch.outputs + (size_t)(r / kLanes) * headDim * kLanes + r % kLanes;
    float whole = scratch.sums[r];
    for (uint32_t d = 0; d < headDim; d++) block.y[r][d] = tile[d * kLanes] / whole;
  }
}

}  // namespace glimt
