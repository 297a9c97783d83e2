#include "paged_tiles.h"

namespace glimt {
namespace {

constexpr uint32_t kChains = 4;

// Dimensions of a chain.
constexpr uint32_t chainDims(uint32_t headDim, uint32_t chain) { return (headDim + kChains - 1 - chain) / kChains; }

// The rows of slots 0 .. slotsOf(keys) - 1.
void rowsBySlot(const BlockRows& block, size_t offset, const float** rows) {
  for (uint32_t slot = 0; slot < slotsOf(block.keys); slot++) {
    rows[slot] = (const float*)(block.at[kSlotKeys.of[slot]] + offset);
  }
}

// scores [slots][8] of the first `wanted` slots, a panel of a slot of each run at a time, with queries [chain][dims][8].
void scoreSlots(const float* packedKeys, uint32_t wanted, const float* queries, uint32_t headDim, float* scores) {
  alignas(16) static const float zeros[kLanes] = {};
  auto product = tileProduct(DType::f32, kRuns, 1);
  for (uint32_t slot = 0; slot < wanted; slot += kRuns) {
    alignas(16) float chains[kChains][kRuns * kLanes];
    const float *keys = packedKeys + (size_t)slot * headDim, *q = queries;
    for (uint32_t chain = 0; chain < kChains; chain++) {
      uint32_t dims = chainDims(headDim, chain);
      product(keys + chain * kRuns, kChains * kRuns, (const uint8_t*)q, 0, dims, zeros, chains[chain], kLanes, 0);
      q += dims * kLanes;
    }
    float* to = scores + slot * kLanes;
    for (uint32_t i = 0; i < kRuns * kLanes; i += 4) {
      f32x4 even = add(load(chains[0] + i), load(chains[2] + i)), odd = add(load(chains[1] + i), load(chains[3] + i));
      store(to + i, add(even, odd));
    }
  }
}

}  // namespace

void sortQueries(const QueryBlock& block, uint32_t headDim, const AttentionScratch& scratch) {
  float* copy = scratch.keys;
  for (uint32_t tile = 0; tile < tilesOf(block); tile++) {
    float* to = scratch.queries + (size_t)tile * headDim * kLanes;
    __builtin_memcpy(copy, to, headDim * kLanes * sizeof(float));
    for (uint32_t chain = 0; chain < kChains; chain++) {
      for (uint32_t d = chain; d < headDim; d += kChains, to += kLanes) {
        store(to, load(copy + d * kLanes)), store(to + 4, load(copy + d * kLanes + 4));
      }
    }
  }
}

void packSlotKeys(const BlockRows& keys, size_t offset, uint32_t headDim, const AttentionScratch& scratch) {
  const float* rows[kBlockKeys];
  rowsBySlot(keys, offset, rows);
  for (uint32_t slot = 0; slot < slotsOf(keys.keys); slot += kRuns) {
    packPanel(rows + slot, kRuns, headDim, scratch.keys + (size_t)slot * headDim);
  }
}

void packSlotValues(const BlockRows& values, size_t offset, uint32_t headDim, const AttentionScratch& scratch) {
  const float* rows[kBlockKeys];
  rowsBySlot(values, offset, rows);
  packValues(rows, slotsOf(values.keys), headDim, scratch.values);
}

uint32_t seenByAll(const QueryBlock& block, uint32_t firstKey) {
  uint32_t seen = kKeyBlock;
  for (uint32_t tile = 0; tile < tilesOf(block); tile++) {
    Sight sight = sightOf(block, tile);
    if (sight.some <= firstKey) continue;
    uint32_t all = sight.all > firstKey ? sight.all - firstKey : 0;
    seen = all < seen ? all : seen;
  }
  return seen;
}

void giveValue(const QueryBlock& block, uint32_t key, uint32_t d, float value, uint32_t headDim,
              const AttentionScratch& scratch) {
  for (uint32_t r = 0; r < block.rows; r++) {
    float* output = scratch.outputs + ((size_t)(r / kLanes) * headDim + d) * kLanes + r % kLanes;
    if (block.visible[r] > key) *output += value;
  }
}

void attendSlots(const QueryBlock& block, uint32_t firstKey, uint32_t keys, uint32_t headDim,
                 const AttentionScratch& scratch) {
  for (uint32_t tile = 0; tile < tilesOf(block); tile++) {
    Sight sight = sightOf(block, tile);
    if (sight.some <= firstKey) continue;
    uint32_t some = sight.some - firstKey < keys ? sight.some - firstKey : keys, wanted = slotsOf(some);
    scoreSlots(scratch.keys, wanted, scratch.queries + (size_t)tile * headDim * kLanes, headDim, scratch.scores);
    bool masked = sight.all < firstKey + kBlockKeys;
    addKeys(block, tile, {firstKey, slotsOf(keys), wanted, kSlotKeys.of, masked}, headDim, scratch.values, scratch);
  }
}

}  // namespace glimt
