// A block of keys of a paged cache against the rows of one key/value head.
//
// A block is 96 keys, which begin at a multiple of 96, in six runs of 16: as many pages as memory is read from side by
// side, which is at 0.7 to 0.8 of its speed where one run after the other is at 0.4. Slot 6 i + c of a block is key 16 c + i.
// A row has the same bits whatever is computed beside it: its query is scaled first; a score is four chains over the
// dimensions d mod 4, and their sum; weights are added up in four chains, slot mod 4; an output is one chain over the
// slots. Weights and their reference are those of attention.h.
#pragma once
#include "attention.h"
#include "kv_rows.h"

namespace glimt {

constexpr uint32_t kRuns = 6, kRunKeys = 16, kBlockKeys = kRuns * kRunKeys;

// Slots there are of a block of `keys` keys; some among them may be of keys that are absent.
constexpr uint32_t slotsOf(uint32_t keys) { return kRuns * (keys < kRunKeys ? keys : kRunKeys); }

// The key of each slot.
struct SlotKeys {
  alignas(16) int32_t of[kBlockKeys];

  constexpr SlotKeys() : of{} {
    for (uint32_t slot = 0; slot < kBlockKeys; slot++) of[slot] = (int32_t)(slot % kRuns * kRunKeys + slot / kRuns);
  }
};
extern const SlotKeys kSlotKeys;

constexpr uint32_t kRowPadding = 16;

constexpr uint32_t padded(uint32_t dims) { return (dims + kRowPadding - 1) / kRowPadding * kRowPadding; }

// A query row, and what it has seen so far. q and sums have `padded(headDim)` floats, zeros past headDim.
struct PagedRow {
  // Scaled.
  float *q, *sums;
  // Scores or weights by slot.
  float* weights;
  float* y;
  // It sees the first so many keys; at least one.
  uint32_t visible;
  float reference = kNoReference, sum = 0;
  // By which the integers are multiplied that a cache in q8 has for q.
  float scale = 1;
};

// Rows of the cache that a block's keys, or values, are in, by key; those past the last key repeat the first.
struct BlockRows {
  const uint8_t* at[kBlockKeys];
  // Keys there are.
  uint32_t keys;
  // From a key to its value.
  size_t toValues;
};

// For a format of rows in the cache.
struct BlockSteps {
  size_t (*rowBytes)(uint32_t headDim);
  // Makes of a row's query what `score` reads. Null where it reads q.
  void (*begin)(PagedRow& row, uint32_t headDim);
  // rows[0 .. count - 1] receive their scores. `offset` is added to the addresses of `keys`.
  void (*score)(PagedRow* rows, uint32_t count, const BlockRows& keys, size_t offset, uint32_t headDim);
  // Turns scores into weights relative to the row's reference; `seen` keys of the block are the row's.
  void (*weigh)(PagedRow& row, uint32_t seen, uint32_t headDim);
  // Their sums += weights times values.
  void (*addValues)(PagedRow* rows, uint32_t count, const BlockRows& values, size_t offset, uint32_t headDim);
  // Reads a row as f32; whether all of it is finite. Null where `addValues` itself leaves out what has no weight.
  void (*widen)(const uint8_t* row, uint32_t headDim, float* to);
  bool (*isFinite)(const uint8_t* row, uint32_t headDim);
  // What many rows read is widened first.
  bool isNarrow;
};

extern const BlockSteps kF32Steps, kBf16Steps, kQ8Steps;

// Copies a block's rows to `near`, [keys][headDim], which `rows` is of from then on.
void widenBlock(const BlockSteps& steps, BlockRows& rows, size_t offset, uint32_t headDim, float* near);

// Weights of keys that a row does not see, or that are absent, are 0, and 0 times what is not finite is NaN. Where values of
// the keys from `first` on hold such, which not all rows see, or of the first one, which stands in for absent ones: copies the
// block to `near`, [keys][headDim], which `values` is of from then on, with 0 in its place, and calls give(key, dimension,
// value), which adds it to the sums of the rows that see the key.
template <class Give>
bool setApart(const BlockSteps& steps, BlockRows& values, size_t offset, uint32_t first, uint32_t headDim, float* near,
              Give give) {
  if (!steps.isFinite) return false;
  uint32_t keys[kBlockKeys], count = 0;
  if (values.keys < kBlockKeys && first > 0) keys[count++] = 0;
  for (uint32_t key = first; key < values.keys; key++) keys[count++] = key;
  bool isFinite = true;
  for (uint32_t i = 0; isFinite && i < count; i++) {
    isFinite = steps.isFinite(values.at[keys[i]] + offset, headDim);
  }
  if (isFinite) return false;
  widenBlock(steps, values, offset, headDim, near);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t key = keys[i];
    float* row = near + (size_t)key * headDim;
    for (uint32_t d = 0; d < headDim; d++) {
      if (__builtin_isfinite(row[d])) continue;
      give(key, d, row[d]);
      row[d] = 0;
    }
  }
  return true;
}

template <class Power>
void weighBlock(PagedRow& row, uint32_t seen, uint32_t headDim);
extern template void weighBlock<Exp2>(PagedRow&, uint32_t, uint32_t);
extern template void weighBlock<ApartExp2>(PagedRow&, uint32_t, uint32_t);

}  // namespace glimt
