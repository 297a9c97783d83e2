// The blocked attention of attention.h: packing, one block of keys, and the division at the end.
#include "attention.h"

namespace glimt {
namespace {

struct InOrder {
  int32_t numbers[kKeyBlock];

  constexpr InOrder() : numbers{} {
    for (uint32_t i = 0; i < kKeyBlock; i++) numbers[i] = (int32_t)i;
  }
};
const InOrder kInOrder;

// scores [keys][8] = K q, up to a whole panel: those of all keys against queries [headDim][8].
void scoreTile(const float* packedKeys, uint32_t keys, uint32_t wanted, const float* queries, uint32_t headDim,
               float* scores) {
  alignas(16) static const float zeros[kLanes] = {};
  Panels panels(keys);
  for (uint32_t panel = 0; panel < panels.count && panels.first(panel) < wanted; panel++) {
    uint32_t first = panels.first(panel), rows = panels.rows(panel);
    tileProduct(DType::f32, rows, 1)(packedKeys + (size_t)first * headDim, rows, (const uint8_t*)queries, 0, headDim,
                                     zeros, scores + (size_t)first * kLanes, kLanes, 0);
  }
}

// outputs [headDim][8] += Vᵀ P over the first `wanted` of the block's keys.
void outputTile(const float* packedValues, uint32_t keys, uint32_t wanted, const float* weights, uint32_t headDim,
                float* outputs) {
  Panels panels(headDim);
  for (uint32_t panel = 0; panel < panels.count; panel++) {
    uint32_t first = panels.first(panel), rows = panels.rows(panel);
    tileProduct(DType::f32, rows, 1)(packedValues + (size_t)first * keys, rows, (const uint8_t*)weights, 0, wanted,
                                     nullptr, outputs + (size_t)first * kLanes, kLanes, 0);
  }
}

// Turns the scores of four lanes, whose rows see the first `visible` keys of the block, into weights; returns
// 2^(reference before - reference now). A count that is no multiple of four is rounded up. numbers[i] is the key of score i.
template <bool masked>
f32x4 softmaxLanes(float* scores, uint32_t count, v128_t visible, const int32_t* numbers, float* reference, float* sums) {
  f32x4 old = load(reference), tops[4] = {old, old, old, old}, hidden = splat(-INFINITY);
  for (uint32_t j = 0; j < count; j += 4) {
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
      float* at = scores + (j + i) * kLanes;
      f32x4 score = load(at);
      if (masked) {
        score = wasm_v128_bitselect(score, hidden, wasm_i32x4_gt(visible, wasm_i32x4_splat(numbers[j + i])));
        store(at, score);
      }
      tops[i] = larger(tops[i], score);
    }
  }
  f32x4 now = nextReference(old, larger(larger(tops[0], tops[1]), larger(tops[2], tops[3])));
  f32x4 chains[4] = {zero(), zero(), zero(), zero()};
  const Exp2 exp2;
  for (uint32_t j = 0; j < count; j += 4) {
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
      float* at = scores + (j + i) * kLanes;
      f32x4 weight = exp2(sub(load(at), now));
      if (masked) weight = wasm_v128_and(weight, wasm_i32x4_gt(visible, wasm_i32x4_splat(numbers[j + i])));
      store(at, weight);
      chains[i] = add(chains[i], weight);
    }
  }
  f32x4 fade = exp2(sub(old, now));
  store(reference, now);
  store(sums, add(mul(load(sums), fade), add(add(chains[0], chains[1]), add(chains[2], chains[3]))));
  return fade;
}

// Of the keys from `firstKey` on, those that the rows of four lanes see.
v128_t visibleFrom(const QueryBlock& block, uint32_t firstRow, uint32_t firstKey) {
  alignas(16) int32_t visible[4];
  for (uint32_t lane = 0; lane < 4; lane++) {
    uint32_t row = firstRow + lane;
    visible[lane] = (int32_t)(block.visible[row < block.rows ? row : block.rows - 1] - firstKey);
  }
  return wasm_v128_load(visible);
}

}  // namespace

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

uint32_t startAttention(const QueryBlock& block, uint32_t headDim, float scale, const AttentionScratch& scratch) {
  f32x4 factor = splat(queryScale(scale));
  for (uint32_t tile = 0; tile < tilesOf(block); tile++) {
    const float* rows[kLanes];
    // The last row stands in for those past the end.
    for (uint32_t lane = 0; lane < kLanes; lane++) {
      rows[lane] = block.q[tile * kLanes + lane < block.rows ? tile * kLanes + lane : block.rows - 1];
    }
    packPanel(rows, kLanes, headDim, scratch.queries + (size_t)tile * headDim * kLanes);
  }
  size_t count = (size_t)tilesOf(block) * headDim * kLanes;
  for (size_t i = 0; i < count; i += 4) {
    store(scratch.queries + i, mul(load(scratch.queries + i), factor));
    store(scratch.outputs + i, zero());
  }
  for (uint32_t r = 0; r < tilesOf(block) * kLanes; r++) scratch.references[r] = kNoReference, scratch.sums[r] = 0;
  uint32_t most = 0;
  for (uint32_t r = 0; r < block.rows; r++) most = block.visible[r] > most ? block.visible[r] : most;
  return most;
}

void packKeys(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed) {
  Panels cut(keys);
  for (uint32_t panel = 0; panel < cut.count; panel++) {
    uint32_t first = cut.first(panel);
    packPanel(rows + first, cut.rows(panel), headDim, packed + (size_t)first * headDim);
  }
}

void packValues(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed) {
  Panels cut(headDim);
  for (uint32_t panel = 0; panel < cut.count; panel++) {
    uint32_t first = cut.first(panel), height = cut.rows(panel);
    if (first + 8 <= headDim) {
      // What a store writes too much, a later one overwrites.
      for (uint32_t j = 0; j < keys; j++, packed += height) {
        store(packed, load(rows[j] + first));
        if (height > 4) store(packed + 4, load(rows[j] + first + 4));
      }
    } else {
      for (uint32_t j = 0; j < keys; j++) {
        for (uint32_t d = first; d < first + height; d++) *packed++ = rows[j][d];
      }
    }
  }
}

void addKeys(const QueryBlock& block, uint32_t tile, const KeyPlaces& keys, uint32_t headDim, const float* packedValues,
             const AttentionScratch& scratch) {
  f32x4 one = splat(&kExp2.one), fade[2];
  auto* softmax = keys.masked ? softmaxLanes<true> : softmaxLanes<false>;
  for (uint32_t half = 0; half < 2; half++) {
    uint32_t row = tile * kLanes + 4 * half;
    v128_t visible = keys.masked ? visibleFrom(block, row, keys.first) : zero();
    fade[half] = softmax(scratch.scores + 4 * half, keys.wanted, visible, keys.numbers, scratch.references + row,
                         scratch.sums + row);
  }
  float* outputs = scratch.outputs + (size_t)tile * headDim * kLanes;
  if (wasm_v128_any_true(wasm_v128_or(wasm_f32x4_ne(fade[0], one), wasm_f32x4_ne(fade[1], one)))) {
    for (float *at = outputs, *end = at + headDim * kLanes; at != end; at += kLanes) {
      store(at, mul(load(at), fade[0])), store(at + 4, mul(load(at + 4), fade[1]));
    }
  }
  outputTile(packedValues, keys.count, keys.wanted, scratch.scores, headDim, outputs);
}

void attendKeyBlock(const QueryBlock& block, uint32_t firstKey, uint32_t keys, uint32_t headDim, const float* packedKeys,
                    const float* packedValues, const AttentionScratch& scratch) {
  for (uint32_t tile = 0; tile < tilesOf(block); tile++) {
    Sight sight = sightOf(block, tile);
    if (sight.some <= firstKey) continue;
    uint32_t wanted = sight.some - firstKey < keys ? sight.some - firstKey : keys;
    scoreTile(packedKeys, keys, wanted, scratch.queries + (size_t)tile * headDim * kLanes, headDim, scratch.scores);
    bool masked = sight.all < firstKey + wanted || wanted % 4;
    addKeys(block, tile, {firstKey, keys, wanted, kInOrder.numbers, masked}, headDim, packedValues, scratch);
  }
}

void writeOutputs(const QueryBlock& block, uint32_t headDim, const AttentionScratch& scratch) {
  for (uint32_t first = 0; first < block.rows; first += 4) {
    uint32_t rows = block.rows - first < 4 ? block.rows - first : 4;
    const float* from = scratch.outputs + (size_t)(first / kLanes) * headDim * kLanes + first % kLanes;
    f32x4 whole = wholeOf(load(scratch.sums + first), load(scratch.references + first));
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
