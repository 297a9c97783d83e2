// Element `i` of host data of a dtype, as float.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

inline float host_float(uint32_t dtype, const char* data, size_t i) {
  if (dtype == 0) {
    float value;
    std::memcpy(&value, data + i * 4, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, data + i * 2, 2);
  if (dtype == 1) {
    const uint32_t word = uint32_t{bits} << 16;
    float value;
    std::memcpy(&value, &word, 4);
    return value;
  }
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float sign = bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(1.0f + static_cast<float>(fraction) / 1024, exponent - 15);
}
