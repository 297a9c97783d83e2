// Attention of a block of query rows over the keys and values of one head, without a matrix of scores.
//
// Queries lie in lanes: with Q packed as [headDim][8] for each 8 rows, Sᵀ = K Qᵀ comes out of the GEMM register
// tile as [keys][8], is the packed operand of Oᵀ += Vᵀ Pᵀ as it stands, and every reduction of the softmax is
// lane by lane. Keys come in blocks of 128; with m the running maximum and l the running sum of a row,
//   m' = max(m, max S)   P = exp(S - m')   l' = l exp(m - m') + sum P   O' = O exp(m - m') + P V   y = O / l.
#pragma once
#include <math.h>

#include "gemm.h"
#include "simd.h"

namespace glimt {

constexpr uint32_t kQueryRows = 128;
constexpr uint32_t kKeyBlock = 128;
constexpr uint32_t kLanes = 8;

struct QueryBlock {
  uint32_t rows;
  const float* q[kQueryRows];
  float* y[kQueryRows];
  // Row i sees keys 0 .. visible[i] - 1; at least one.
  uint32_t visible[kQueryRows];
};

// Places in a worker's own memory; sizes in floats follow from headDim.
struct AttentionScratch {
  float *queries, *outputs, *keys, *values, *scores, *largest, *sums, *nothing;

  static uint32_t padded(uint32_t headDim) { return (headDim + 3) / 4 * 4; }
  static uint64_t bytes(uint32_t headDim) {
    uint64_t d = padded(headDim);
    return sizeof(float) * (2 * kQueryRows * d + 2 * kKeyBlock * d + kKeyBlock * kLanes + 2 * kQueryRows + d);
  }
  AttentionScratch(uint8_t* memory, uint32_t headDim) {
    size_t d = padded(headDim);
    queries = (float*)memory;
    outputs = queries + kQueryRows * d;
    keys = outputs + kQueryRows * d;
    values = keys + kKeyBlock * d;
    scores = values + kKeyBlock * d;
    largest = scores + kKeyBlock * kLanes;
    sums = largest + kQueryRows;
    nothing = sums + kQueryRows;
    for (uint32_t i = 0; i < d; i++) nothing[i] = 0;
  }
};

// The steps that do not depend on where keys and values come from (attention.cpp).
void packQueries(const QueryBlock& block, uint32_t headDim, float scale, const AttentionScratch& scratch);
void attendKeyBlock(const QueryBlock& block, uint32_t firstKey, uint32_t keys, uint32_t headDim,
                    const AttentionScratch& scratch);
void writeOutputs(const QueryBlock& block, uint32_t headDim, const AttentionScratch& scratch);
void packKeys(const float* const* rows, uint32_t group, uint32_t headDim, const AttentionScratch& scratch);
void packValues(const float* const* rows, uint32_t group, uint32_t headDim, const AttentionScratch& scratch);

// keyRow(j) and valueRow(j) give headDim contiguous floats.
template <class KeyRow, class ValueRow>
void attend(const QueryBlock& block, uint32_t headDim, float scale, KeyRow keyRow, ValueRow valueRow,
            const AttentionScratch& scratch) {
  uint32_t keyCount = 0;
  for (uint32_t r = 0; r < block.rows; r++) keyCount = block.visible[r] > keyCount ? block.visible[r] : keyCount;
  packQueries(block, headDim, scale, scratch);
  for (uint32_t first = 0; first < keyCount; first += kKeyBlock) {
    uint32_t keys = keyCount - first < kKeyBlock ? keyCount - first : kKeyBlock;
    for (uint32_t j = 0; j < keys; j += 4) {
      const float *k[4], *v[4];
      for (uint32_t i = 0; i < 4; i++) {
        bool there = j + i < keys;
        k[i] = there ? keyRow(first + j + i) : scratch.nothing;
        v[i] = there ? valueRow(first + j + i) : scratch.nothing;
      }
      packKeys(k, j / 4, headDim, scratch);
      packValues(v, j / 4, headDim, scratch);
    }
    attendKeyBlock(block, first, keys, headDim, scratch);
  }
  writeOutputs(block, headDim, scratch);
}

}  // namespace glimt
