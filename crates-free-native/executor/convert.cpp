#include "convert.h"

#include <cmath>
#include <cstring>

#include "runtime/error.h"

namespace glimt {

namespace {

using program::DType;

uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

float widen_f16(uint16_t pattern) {
  const uint32_t sign = (pattern & 0x8000u) << 16, exponent = pattern >> 10 & 31, fraction = pattern & 1023;
  if (exponent == 31) return float_of(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}

uint16_t narrow_bf16(float x) {
  const uint32_t word = bits_of(x);
  if (std::isnan(x)) return 0x7fc0;
  return static_cast<uint16_t>((word + 0x7fff + (word >> 16 & 1)) >> 16);
}

uint16_t narrow_f16(float x) {
  const uint32_t word = bits_of(x), sign = word >> 16 & 0x8000u, magnitude = word & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude >= 0x38800000u) {
    const uint32_t rebased = magnitude - 0x38000000u;
    return static_cast<uint16_t>(sign | (rebased + 0xfff + (rebased >> 13 & 1)) >> 13);
  }
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(std::nearbyint(float_of(magnitude) * 0x1p24f)));
}

float load(DType dtype, const void* source, size_t i) {
  if (dtype == DType::f32) return static_cast<const float*>(source)[i];
  const uint16_t pattern = static_cast<const uint16_t*>(source)[i];
  return dtype == DType::bf16 ? float_of(static_cast<uint32_t>(pattern) << 16) : widen_f16(pattern);
}

}  // namespace

void convert_elements(DType from, const void* source, DType to, void* target, size_t count) {
  if (from == to) {
    std::memcpy(target, source, count * element_bytes(to));
    return;
  }
  if (from == DType::i32 || to == DType::i32)
    throw Error("INPUT_INVALID", std::string("write: ") + dtype_name(from) + " values do not fit a tensor of " +
                                     dtype_name(to) + ".");
  auto* words = static_cast<uint16_t*>(target);
  switch (to) {
    case DType::f32:
      for (size_t i = 0; i < count; i++) static_cast<float*>(target)[i] = load(from, source, i);
      break;
    case DType::bf16:
      for (size_t i = 0; i < count; i++) words[i] = narrow_bf16(load(from, source, i));
      break;
    default:
      for (size_t i = 0; i < count; i++) words[i] = narrow_f16(load(from, source, i));
  }
}

}  // namespace glimt
