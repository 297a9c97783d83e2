// How keys and values lie in the cache: rows of headDim elements in a storage format, read as f32.
#pragma once
#include "simd.h"

namespace glimt {

// A row in the cache; its format says what its bytes are. `step` gives dimensions d .. d + kDims - 1, `part` those of
// them below `dims`, zeros behind, and reads nothing past the row.
struct F32Rows {
  static constexpr uint32_t kDims = 4;

  static size_t bytes(uint32_t dims) { return (size_t)dims * sizeof(float); }
  static void step(const uint8_t* row, uint32_t d, f32x4 (&values)[1]) { values[0] = load((const float*)row + d); }
  static void part(const uint8_t* row, uint32_t d, uint32_t dims, f32x4 (&values)[1]) {
    values[0] = loadPart((const float*)row + d, dims - d);
  }
};

}  // namespace glimt
