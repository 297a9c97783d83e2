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

// scores [keys rounded up to 4][8] = K q for one tile of queries [headDim][8].
void scoreTile(const float* keys, const float* queries, uint32_t count, uint32_t headDim, float* scores) {
  for (uint32_t j = 0; j < count; j += 4) {
    Tile tile = zeroTile();
    accumulate(tile, keys + (size_t)j * headDim, queries, headDim);
    storeTile(tile, scores + (size_t)j * kLanes, kLanes);
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

// Turns scores into weights relative to the new maximum; returns exp(old maximum - new maximum).
void softmaxTile(float* scores, uint32_t count, float* largest, float* sums, f32x4& fade0, f32x4& fade1) {
  f32x4 old0 = load(largest), old1 = load(largest + 4), max0 = old0, max1 = old1;
  for (uint32_t j = 0; j < count; j++) {
    max0 = larger(max0, load(scores + j * kLanes));
    max1 = larger(max1, load(scores + j * kLanes + 4));
  }
  f32x4 sum0 = zero(), sum1 = zero();
  for (uint32_t j = 0; j < count; j++) {
    float* at = scores + j * kLanes;
    f32x4 p0 = exp(sub(load(at), max0)), p1 = exp(sub(load(at + 4), max1));
    store(at, p0);
    store(at + 4, p1);
    sum0 = add(sum0, p0);
    sum1 = add(sum1, p1);
  }
  fade0 = exp(sub(old0, max0));
  fade1 = exp(sub(old1, max1));
  store(largest, max0);
  store(largest + 4, max1);
  store(sums, add(mul(load(sums), fade0), sum0));
  store(sums + 4, add(mul(load(sums + 4), fade1), sum1));
}

// outputs [headDim rounded up to 4][8] = outputs * fade + Vᵀ weights.
void outputTile(const float* values, const float* weights, uint32_t count, uint32_t padded, f32x4 fade0, f32x4 fade1,
                float* outputs) {
  for (uint32_t c = 0; c < padded; c += 4, outputs += 4 * kLanes, values += 4 * kKeyBlock) {
    Tile tile;
    loadTile(tile, outputs, kLanes);
    tile.c00 = mul(tile.c00, fade0), tile.c01 = mul(tile.c01, fade1);
    tile.c10 = mul(tile.c10, fade0), tile.c11 = mul(tile.c11, fade1);
    tile.c20 = mul(tile.c20, fade0), tile.c21 = mul(tile.c21, fade1);
    tile.c30 = mul(tile.c30, fade0), tile.c31 = mul(tile.c31, fade1);
    accumulate(tile, values, weights, count);
    storeTile(tile, outputs, kLanes);
  }
}

}  // namespace

void packQueries(const QueryBlock& block, uint32_t headDim, float scale, const AttentionScratch& scratch) {
  uint32_t rows = tiles(block) * kLanes;
  size_t padded = AttentionScratch::padded(headDim);
  for (uint32_t r = 0; r < rows; r++) {
    float* tile = scratch.queries + (size_t)(r / kLanes) * headDim * kLanes + r % kLanes;
    const float* from = r < block.rows ? block.q[r] : scratch.nothing;
    for (uint32_t d = 0; d < headDim; d++) tile[d * kLanes] = from[d] * scale;
    scratch.largest[r] = -FLT_MAX;
    scratch.sums[r] = 0;
  }
  for (size_t i = 0; i < padded * rows; i++) scratch.outputs[i] = 0;
}

void packKeys(const float* const* rows, uint32_t group, uint32_t headDim, const AttentionScratch& scratch) {
  interleave4(rows[0], rows[1], rows[2], rows[3], headDim, scratch.keys + (size_t)group * headDim * 4);
}

void packValues(const float* const* rows, uint32_t group, uint32_t headDim, const AttentionScratch& scratch) {
  for (uint32_t i = 0; i < 4; i++) {
    float* to = scratch.values + (size_t)(group * 4 + i) * 4;
    uint32_t d = 0;
    for (; d + 4 <= headDim; d += 4, to += 4 * kKeyBlock) store(to, load(rows[i] + d));
    if (d < headDim) store(to, loadPart(rows[i] + d, headDim - d));
  }
}

void attendKeyBlock(const QueryBlock& block, uint32_t firstKey, uint32_t keys, uint32_t headDim,
                    const AttentionScratch& scratch) {
  uint32_t padded = AttentionScratch::padded(headDim), count = (keys + 3) / 4 * 4;
  for (uint32_t tile = 0; tile < tiles(block); tile++) {
    Sight sight = sightOf(block, tile);
    if (sight.some <= firstKey) continue;
    scoreTile(scratch.keys, scratch.queries + (size_t)tile * headDim * kLanes, count, headDim, scratch.scores);
    if (sight.all < firstKey + count) maskTile(block, tile, firstKey, count, scratch.scores);
    f32x4 fade0, fade1;
    softmaxTile(scratch.scores, count, scratch.largest + tile * kLanes, scratch.sums + tile * kLanes, fade0, fade1);
    outputTile(scratch.values, scratch.scores, count, padded, fade0, fade1,
               scratch.outputs + (size_t)tile * padded * kLanes);
  }
}

void writeOutputs(const QueryBlock& block, uint32_t headDim, const AttentionScratch& scratch) {
  size_t padded = AttentionScratch::padded(headDim);
  for (uint32_t r = 0; r < block.rows; r++) {
    const float* tile = scratch.outputs + (r / kLanes) * padded * kLanes + r % kLanes;
    float whole = scratch.sums[r];
    for (uint32_t d = 0; d < headDim; d++) block.y[r][d] = tile[d * kLanes] / whole;
  }
}

}  // namespace glimt
