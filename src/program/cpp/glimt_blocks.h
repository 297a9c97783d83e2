// Blocks as ggml makes them (q8 is Q8_0, q4 is Q4_0) on the host, with their integers and scales apart, as layout split has
// them. src/tensor/blocks.ts gives the same bits.
#pragma once
#include <cmath>

#include "glimt_float.h"
#include "glimt_storage.h"

namespace glimt {

// Of the integers of a block.
constexpr uint64_t blockIntegerBytes(program::DType format) {
  return storageBytes(format, 1, kBlockCols) - sizeof(uint16_t);
}

namespace blocks {

using program::DType;

// The value of largest magnitude, the first of them; NaN when one is NaN.
inline float largestOf(const float* values) {
  float largest = 0;
  for (uint32_t i = 0; i < kBlockCols; i++) {
    if (std::isnan(values[i])) return values[i];
    if (std::fabs(values[i]) > std::fabs(largest)) largest = values[i];
  }
  return largest;
}

// Q8_0 makes the largest magnitude 127, Q4_0 the value of largest magnitude -8.
inline float scaleOf(DType format, float largest) {
  return format == DType::q8 ? std::fabs(largest) / 127.0f : largest / -8.0f;
}

inline void quantise8(const float* values, float inverse, uint8_t* integers) {
  for (uint32_t i = 0; i < kBlockCols; i++) {
    const float scaled = values[i] * inverse, whole = std::trunc(scaled);
    // To the nearest, half away from zero: what is cut off is exact.
    const float away = std::fabs(scaled - whole) >= 0.5f ? std::copysign(1.0f, scaled) : 0.0f;
    integers[i] = static_cast<uint8_t>(static_cast<int8_t>(whole + away));
  }
}

inline void quantise4(const float* values, float inverse, uint8_t* integers) {
  const auto quantised = [&](uint32_t i) {
    const float shifted = values[i] * inverse + 8.5f;
    return static_cast<uint8_t>(shifted < 15.0f ? shifted : 15.0f);
  };
  for (uint32_t i = 0; i < kBlockCols / 2; i++)
    integers[i] = static_cast<uint8_t>(quantised(i) | quantised(i + kBlockCols / 2) << 4);
}

// Block `block` of elements in f32, bf16 or f16.
inline void widenBlock(DType from, const void* source, uint64_t block, float (&values)[kBlockCols]) {
  for (uint32_t i = 0; i < kBlockCols; i++) values[i] = loadFloat(from, source, block * kBlockCols + i);
}

inline uint16_t plainScale(DType format, const void* source, uint64_t block) {
  uint16_t scale;
  std::memcpy(&scale, static_cast<const char*>(source) + block * storageBytes(format, 1, kBlockCols), sizeof scale);
  return scale;
}

}  // namespace blocks

// `count` blocks of `format` from elements in f32, bf16 or f16, or from plain blocks of the format itself.
inline void splitBlocks(program::DType from, const void* source, program::DType format, uint64_t count, void* integers,
                        uint16_t* scales) {
  const uint64_t bytes = blockIntegerBytes(format);
  for (uint64_t block = 0; block < count; block++) {
    auto* to = static_cast<uint8_t*>(integers) + block * bytes;
    if (from == format) {
      scales[block] = blocks::plainScale(format, source, block);
      const char* plain = static_cast<const char*>(source) + block * storageBytes(format, 1, kBlockCols);
      std::memcpy(to, plain + sizeof(uint16_t), bytes);
      continue;
    }
    float values[kBlockCols];
    blocks::widenBlock(from, source, block, values);
    const float scale = blocks::scaleOf(format, blocks::largestOf(values));
    scales[block] = narrowF16(scale);
    if (!std::isfinite(scale)) {
      // No integers stand for such values; the scale says so.
      std::memset(to, 0, bytes);
      continue;
    }
    // Where there is none, of a block of zeros and of scales that f16 stores as zero in any case, 0.
    const float inverse = std::isfinite(1.0f / scale) ? 1.0f / scale : 0.0f;
    if (format == program::DType::q8) blocks::quantise8(values, inverse, to);
    else blocks::quantise4(values, inverse, to);
  }
}

// How many elements are NaN or infinite in blocks made so: all of a block whose scale is.
inline uint64_t countNotFiniteBlocks(program::DType from, const void* source, program::DType format, uint64_t count) {
  uint64_t found = 0;
  for (uint64_t block = 0; block < count; block++) {
    uint16_t scale;
    if (from == format) {
      scale = blocks::plainScale(format, source, block);
    } else {
      float values[kBlockCols];
      blocks::widenBlock(from, source, block, values);
      scale = narrowF16(blocks::scaleOf(format, blocks::largestOf(values)));
    }
    if ((scale & 0x7c00) == 0x7c00) found += kBlockCols;
  }
  return found;
}

}  // namespace glimt
