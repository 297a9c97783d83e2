// Blocks on the host, with their elements and scales apart, as layout split has them: as ggml makes them (q8 is Q8_0, q4 is
// Q4_0; src/tensor/blocks.ts gives the same bits), or as they come (fp8, a scale in f32 before 128 elements).
#pragma once
#include <cmath>

#include "glimt_float.h"
#include "glimt_storage.h"

namespace glimt {

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

// One block: its scale, then its elements.
inline const char* plainBlock(DType format, const void* source, uint64_t block) {
  return static_cast<const char*>(source) + block * (blockScaleBytes(format) + blockElementBytes(format));
}

// Elements of a plain block of fp8 that are NaN or infinite: NaN themselves, or under a scale that is no number, or by
// which the largest element, 448, would be none.
inline uint64_t countNotFiniteFp8(const char* block) {
  float scale;
  std::memcpy(&scale, block, sizeof scale);
  if (!std::isfinite(scale * 448.0f)) return blockCols(DType::fp8);
  uint64_t found = 0;
  for (uint64_t i = 0; i < blockCols(DType::fp8); i++) found += (block[sizeof scale + i] & 0x7f) == 0x7f;
  return found;
}

}  // namespace blocks

// Whether weights in `from` can be stored as `format`, which is grouped.
constexpr bool becomesBlocks(program::DType from, program::DType format) {
  return from == format || ((format == program::DType::q8 || format == program::DType::q4) && from < program::DType::i32);
}

// `count` blocks of `format` from elements in f32, bf16 or f16, or from plain blocks of the format itself.
inline void splitBlocks(program::DType from, const void* source, program::DType format, uint64_t count, void* elements,
                        void* scales) {
  const uint64_t bytes = blockElementBytes(format), scaleBytes = blockScaleBytes(format);
  for (uint64_t block = 0; block < count; block++) {
    auto* to = static_cast<uint8_t*>(elements) + block * bytes;
    auto* scaleTo = static_cast<uint8_t*>(scales) + block * scaleBytes;
    if (from == format) {
      const char* plain = blocks::plainBlock(format, source, block);
      std::memcpy(scaleTo, plain, scaleBytes);
      std::memcpy(to, plain + scaleBytes, bytes);
      continue;
    }
    float values[kBlockCols];
    blocks::widenBlock(from, source, block, values);
    const float scale = blocks::scaleOf(format, blocks::largestOf(values));
    const uint16_t pattern = narrowF16(scale);
    std::memcpy(scaleTo, &pattern, sizeof pattern);
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

// How many elements are NaN or infinite in blocks made so; all of a block whose scale is.
inline uint64_t countNotFiniteBlocks(program::DType from, const void* source, program::DType format, uint64_t count) {
  uint64_t found = 0;
  for (uint64_t block = 0; block < count; block++) {
    if (format == program::DType::fp8) {
      found += blocks::countNotFiniteFp8(blocks::plainBlock(format, source, block));
      continue;
    }
    uint16_t scale;
    if (from == format) {
      std::memcpy(&scale, blocks::plainBlock(format, source, block), sizeof scale);
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
