// Many rows of one key/value head against a paged cache, eight at a time in the register tile (attention.h), with the bits of
// paged_block.h: keys lie in the order of slots, and a score is four products over the dimensions d mod 4.
#pragma once
#include "attention.h"
#include "paged_block.h"

namespace glimt {

static_assert(kBlockKeys == kKeyBlock);

// After `startAttention`: queries in the order in which `attendSlots` reads them.
void sortQueries(const QueryBlock& block, uint32_t headDim, const AttentionScratch& scratch);

// A block's keys, or values, which are f32, to scratch.keys or scratch.values.
void packSlotKeys(const BlockRows& keys, size_t offset, uint32_t headDim, const AttentionScratch& scratch);
void packSlotValues(const BlockRows& values, size_t offset, uint32_t headDim, const AttentionScratch& scratch);

// Keys of the block from `firstKey` on that every row sees of the tiles that see some of it.
uint32_t seenByAll(const QueryBlock& block, uint32_t firstKey);

// Adds a value of a key to the outputs of the rows that see it.
void giveValue(const QueryBlock& block, uint32_t key, uint32_t d, float value, uint32_t headDim,
              const AttentionScratch& scratch);

// All rows of the block of queries against the packed block of `keys` keys from `firstKey` on.
void attendSlots(const QueryBlock& block, uint32_t firstKey, uint32_t keys, uint32_t headDim,
                 const AttentionScratch& scratch);

}  // namespace glimt
