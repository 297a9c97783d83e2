// Attention of a block of query rows over the keys and values of one head, without a matrix of scores.
//
// Queries lie in lanes: with Q packed as [headDim][8] for each 8 rows, Sᵀ = K Qᵀ comes out of the register tile
// (tile.h) as [keys][8], is the packed operand of Oᵀ += Vᵀ Pᵀ as it stands, and every reduction of the softmax is
// lane by lane. Queries are scaled by log2 e too, so that weights are powers of two. Keys come in blocks of 96; with m the
// reference of a row, an integer, and l its running sum,
//   P = 2^(S - m)   l' = l 2^(m - m') + sum P   O' = O 2^(m - m') + P V   y = O / l.
// The reference moves, to the largest score of the block, where that is more than 16 larger: seldom, and l and O are then
// multiplied by a power of two, which is exact.
//
// A row has the same bits whatever rows are beside it, and so has one that is computed otherwise (attention_paged.cpp):
// queries are scaled first; blocks begin at multiples of 96; a score is one chain over the dimensions of the head, an
// output one over the keys of a block; a block's P is added up in four chains, keys 4 i + j in chain j. Keys that
// a row does not see have P = 0.
#pragma once
#include <float.h>
#include <math.h>

#include "simd.h"
#include "tile.h"

namespace glimt {

constexpr uint32_t kQueryRows = 192;
constexpr uint32_t kKeyBlock = 96;
constexpr uint32_t kLanes = kTileRows;

struct QueryBlock {
  uint32_t rows;
  const float* q[kQueryRows];
  float* y[kQueryRows];
  // Row i sees keys 0 .. visible[i] - 1; at least one.
  uint32_t visible[kQueryRows];
};

// Eight rows each, the last one fewer.
inline uint32_t tilesOf(const QueryBlock& block) { return (block.rows + kLanes - 1) / kLanes; }

// Keys every row of the tile sees, and keys some row of it sees.
struct Sight {
  uint32_t all, some;
};
Sight sightOf(const QueryBlock& block, uint32_t tile);

// By which queries are multiplied.
inline float queryScale(float scale) { return scale * 1.44269504f; }

// Before the first block.
constexpr float kNoReference = -FLT_MAX;
constexpr float kHeadroom = 16;

// Sums of weights, by references: of a row that saw no score above -Infinity, 0 / 0 as a softmax has it. Exp2 gives no zeros.
inline f32x4 wholeOf(f32x4 sums, f32x4 references) {
  return wasm_v128_bitselect(splat(__builtin_nanf("")), sums, wasm_f32x4_eq(references, splat(kNoReference)));
}

// References that were `old`, when `top` is the largest score of the block or `old`.
inline f32x4 nextReference(f32x4 old, f32x4 top) {
  return wasm_v128_bitselect(wasm_f32x4_nearest(top), old, wasm_f32x4_gt(top, add(old, splat(kHeadroom))));
}

// Places in a worker's own memory; sizes in floats follow from headDim.
struct AttentionScratch {
  float *queries, *outputs, *keys, *values, *scores, *references, *sums;

  static uint64_t bytes(uint32_t headDim) {
    uint64_t d = headDim;
    return sizeof(float) *
           (2 * kQueryRows * d + 3 * kPanelSlack + 2 * kKeyBlock * d + kKeyBlock * kLanes + 2 * kQueryRows);
  }
  AttentionScratch(uint8_t* memory, uint32_t headDim) {
    size_t d = headDim;
    queries = (float*)memory;
    outputs = queries + kQueryRows * d + kPanelSlack;
    keys = outputs + kQueryRows * d;
    values = keys + kKeyBlock * d + kPanelSlack;
    scores = values + kKeyBlock * d + kPanelSlack;
    references = scores + kKeyBlock * kLanes;
    sums = references + kQueryRows;
  }
};

// A block of keys or of values for `attend`, keys * headDim floats and kPanelSlack: keys as panels of some of them over the
// dimensions, values as panels of some dimensions over the keys. The rows are headDim contiguous floats each.
void packKeys(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed);
void packValues(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed);

// The steps that do not depend on where keys and values come from (attention.cpp).
uint32_t startAttention(const QueryBlock& block, uint32_t headDim, float scale, const AttentionScratch& scratch);
// Keys of a block whose scores with a tile are in scratch.scores: the first `wanted` of `count`.
struct KeyPlaces {
  uint32_t first, count, wanted;
  // Which key of the block each is.
  const int32_t* numbers;
  // Some rows do not see all of them.
  bool masked;
};
void addKeys(const QueryBlock& block, uint32_t tile, const KeyPlaces& keys, uint32_t headDim, const float* packedValues,
             const AttentionScratch& scratch);
void attendKeyBlock(const QueryBlock& block, uint32_t firstKey, uint32_t keys, uint32_t headDim, const float* packedKeys,
                    const float* packedValues, const AttentionScratch& scratch);
void writeOutputs(const QueryBlock& block, uint32_t headDim, const AttentionScratch& scratch);

// packedKeys(first, keys) and packedValues(first, keys) give a block of keys, packed; they may pack it into scratch.keys
// and scratch.values.
template <class PackedKeys, class PackedValues>
void attend(const QueryBlock& block, uint32_t headDim, float scale, PackedKeys packedKeys, PackedValues packedValues,
            const AttentionScratch& scratch) {
  uint32_t keyCount = startAttention(block, headDim, scale, scratch);
  for (uint32_t first = 0; first < keyCount; first += kKeyBlock) {
    uint32_t keys = keyCount - first < kKeyBlock ? keyCount - first : kKeyBlock;
    const float* ofKeys = packedKeys(first, keys);
    attendKeyBlock(block, first, keys, headDim, ofKeys, packedValues(first, keys), scratch);
  }
  writeOutputs(block, headDim, scratch);
}

}  // namespace glimt
