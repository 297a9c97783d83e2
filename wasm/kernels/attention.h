// Attention of a block of query rows over the keys and values of one head, without a matrix of scores.
//
// Queries lie in lanes: with Q packed as [headDim][8] for each 8 rows, Sᵀ = K Qᵀ comes out of the register tile
// (tile.h) as [keys][8], is the packed operand of Oᵀ += Vᵀ Pᵀ as it stands, and every reduction of the softmax is
// lane by lane. Keys come in blocks of 96; with m the running maximum and l the running sum of a row,
//   m' = max(m, max S)   P = exp(S - m')   l' = l exp(m - m') + sum P   O' = O exp(m - m') + P V   y = O / l.
//
// A row has the same bits whatever rows are beside it, and so has one that is computed otherwise (attention_paged.cpp):
// queries are scaled first; blocks begin at multiples of 96; a score is one chain over the dimensions of the head, an
// output one over the keys of a block; a block's P is added up in four chains, keys 4 i + j in chain j. Keys that
// a row does not see have P = 0.
#pragma once
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

// Places in a worker's own memory; sizes in floats follow from headDim.
struct AttentionScratch {
  float *queries, *outputs, *keys, *values, *scores, *largest, *sums;

  static uint64_t bytes(uint32_t headDim) {
    uint64_t d = headDim;
    return sizeof(float) * (2 * kQueryRows * d + 2 * kPanelSlack + 2 * kKeyBlock * d + kKeyBlock * kLanes + 2 * kQueryRows);
  }
  AttentionScratch(uint8_t* memory, uint32_t headDim) {
    size_t d = headDim;
    queries = (float*)memory;
    outputs = queries + kQueryRows * d + kPanelSlack;
    keys = outputs + kQueryRows * d;
    values = keys + kKeyBlock * d + kPanelSlack;
    scores = values + kKeyBlock * d;
    largest = scores + kKeyBlock * kLanes;
    sums = largest + kQueryRows;
  }
};

// The steps that do not depend on where keys and values come from (attention.cpp).
void packQueries(const QueryBlock& block, uint32_t headDim, float scale, const AttentionScratch& scratch);
void packKeys(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed);
void packValues(const float* const* rows, uint32_t keys, uint32_t headDim, float* packed);
void attendKeyBlock(const QueryBlock& block, uint32_t firstKey, uint32_t keys, uint32_t headDim,
                    const AttentionScratch& scratch);
void writeOutputs(const QueryBlock& block, uint32_t headDim, const AttentionScratch& scratch);

// keyRow(j) and valueRow(j) give headDim contiguous floats.
template <class KeyRow, class ValueRow>
void attend(const QueryBlock& block, uint32_t headDim, float scale, KeyRow keyRow, ValueRow valueRow,
            const AttentionScratch& scratch) {
  uint32_t keyCount = 0;
  for (uint32_t r = 0; r < block.rows; r++) keyCount = block.visible[r] > keyCount ? block.visible[r] : keyCount;
  packQueries(block, headDim, scale, scratch);
  for (uint32_t first = 0; first < keyCount; first += kKeyBlock) {
    uint32_t keys = keyCount - first < kKeyBlock ? keyCount - first : kKeyBlock;
    const float* rows[kKeyBlock];
    for (uint32_t j = 0; j < keys; j++) rows[j] = keyRow(first + j);
    packKeys(rows, keys, headDim, scratch.keys);
    for (uint32_t j = 0; j < keys; j++) rows[j] = valueRow(first + j);
    packValues(rows, keys, headDim, scratch.values);
    attendKeyBlock(block, first, keys, headDim, scratch);
  }
  writeOutputs(block, headDim, scratch);
}

}  // namespace glimt
