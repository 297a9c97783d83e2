// How keys and values lie in the cache: rows of headDim elements in a storage format, read as f32.
#pragma once
#include "simd.h"

namespace glimt {

// A row in the cache; its format says what its bytes are. `step` gives dimensions d .. d + kDims - 1, `part` those of
// them below `dims`, zeros behind, and reads nothing past the row.
struct F32Rows {
  // Dimensions of a step, and keys whose sums a product has registers for: of so many runs (paged_block.h), so many of each.
  static constexpr uint32_t kDims = 4, kRunsAtOnce = 6, kKeysAtOnce = 1;

  static size_t bytes(uint32_t dims) { return (size_t)dims * sizeof(float); }
  static void step(const uint8_t* row, uint32_t d, f32x4 (&values)[1]) { values[0] = load((const float*)row + d); }
  static void part(const uint8_t* row, uint32_t d, uint32_t dims, f32x4 (&values)[1]) {
    values[0] = loadPart((const float*)row + d, dims - d);
  }
};

struct Bf16Rows {
  static constexpr uint32_t kDims = 8, kRunsAtOnce = 2, kKeysAtOnce = 2;

  static size_t bytes(uint32_t dims) { return (size_t)dims * sizeof(uint16_t); }
  static void step(const uint8_t* row, uint32_t d, f32x4 (&values)[2]) {
    widenBf16(wasm_v128_load((const uint16_t*)row + d), values[0], values[1]);
  }
  static void part(const uint8_t* row, uint32_t d, uint32_t dims, f32x4 (&values)[2]) {
    alignas(16) uint16_t patterns[8] = {};
    for (uint32_t i = d; i < dims; i++) patterns[i - d] = ((const uint16_t*)row)[i];
    widenBf16(wasm_v128_load(patterns), values[0], values[1]);
  }
};

}  // namespace glimt
