// float32 from and to bf16 (its upper half) and f16 (IEEE half), for the host. Widening is exact; narrowing goes to the
// nearest element, ties to the even one, beyond the largest to infinity. src/tensor/convert.ts gives the same bits.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "glimt_program.gen.h"

namespace glimt {

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

constexpr uint32_t kMagnitudeBits = 0x7fffffffu, kInfinityBits = 0x7f800000u;

// The least magnitude, as bits of a float32, that is no number once it is stored: it rounds to infinity; NaN lies above.
constexpr uint32_t overflowBits(program::DType stored) {
  return stored == program::DType::bf16 ? 0x7f7f8000u : stored == program::DType::f16 ? 0x477ff000u : kInfinityBits;
}

inline float widenBf16(uint16_t pattern) { return floatOf(static_cast<uint32_t>(pattern) << 16); }

inline float widenF16(uint16_t pattern) {
  const uint32_t sign = (pattern & 0x8000u) << 16, magnitude = pattern & 0x7fffu;
  if (magnitude >= 0x7c00u) return floatOf(sign | kInfinityBits | (magnitude & 0x3ffu) << 13);
  if (magnitude >= 0x0400u) return floatOf(sign | ((magnitude << 13) + (112u << 23)));
  // Subnormal: as the fraction of 2^-14, less the one before the point.
  return floatOf(sign | bitsOf(floatOf((magnitude << 13) + (113u << 23)) - 0x1p-14f));
}

inline uint16_t narrowBf16(float value) {
  const uint32_t word = bitsOf(value);
  if ((word & kMagnitudeBits) > kInfinityBits) return 0x7fc0u;
  return static_cast<uint16_t>((word + 0x7fffu + (word >> 16 & 1)) >> 16);
}

inline uint16_t narrowF16(float value) {
  const uint32_t word = bitsOf(value), sign = word >> 16 & 0x8000u, magnitude = word & kMagnitudeBits;
  if (magnitude > kInfinityBits) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= overflowBits(program::DType::f16)) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude >= 0x38800000u) {
    const uint32_t rebased = magnitude - 0x38000000u;
    return static_cast<uint16_t>(sign | (rebased + 0xfffu + (rebased >> 13 & 1)) >> 13);
  }
  // Subnormal: adding 1/2 rounds to a multiple of 2^-24; the low bits are the count.
  return static_cast<uint16_t>(sign | (bitsOf(floatOf(magnitude) + 0.5f) - bitsOf(0.5f)));
}

// Element `index` of f32, bf16 or f16 data.
inline float loadFloat(program::DType format, const void* data, size_t index) {
  if (format == program::DType::bf16) return widenBf16(static_cast<const uint16_t*>(data)[index]);
  if (format == program::DType::f16) return widenF16(static_cast<const uint16_t*>(data)[index]);
  return static_cast<const float*>(data)[index];
}

inline void storeFloat(program::DType format, void* data, size_t index, float value) {
  if (format == program::DType::bf16) static_cast<uint16_t*>(data)[index] = narrowBf16(value);
  else if (format == program::DType::f16) static_cast<uint16_t*>(data)[index] = narrowF16(value);
  else static_cast<float*>(data)[index] = value;
}

}  // namespace glimt
