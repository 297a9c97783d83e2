// Weight storage: exact conversions between f32, bf16 and f16 (ties to even on narrowing) and the tiled layout.
#include "weights.h"

namespace glimt {
namespace {

uint32_t bitsOf(float value) {
  union {
    float value;
    uint32_t bits;
  } pun = {value};
  return pun.bits;
}

float fromBits(uint32_t bits) {
  union {
    uint32_t bits;
    float value;
  } pun = {bits};
  return pun.value;
}

float halfToFloat(uint16_t half) {
  uint32_t sign = (half & 0x8000u) << 16, magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return fromBits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  if (magnitude >= 0x0400u) return fromBits(sign | ((magnitude << 13) + (112u << 23)));
  float value = fromBits((magnitude << 13) + (113u << 23)) - 6.103515625e-05f;
  return sign ? -value : value;
}

uint16_t floatToHalf(float value) {
  uint32_t word = bitsOf(value), sign = (word >> 16) & 0x8000u, magnitude = word & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
  if (magnitude >= 0x38800000u) {
    uint32_t rebased = magnitude - 0x38000000u;
    return sign | ((rebased + 0xfffu + ((rebased >> 13) & 1)) >> 13);
  }
  // Subnormal: adding 1/2 rounds to a multiple of 2^-24, ties to even; the low bits are the count.
  return sign | (bitsOf(fromBits(magnitude) + 0.5f) - bitsOf(0.5f));
}

uint16_t floatToBf16(float value) {
  uint32_t word = bitsOf(value);
  if ((word & 0x7fffffffu) > 0x7f800000u) return 0x7fc0u;
  return (word + 0x7fffu + ((word >> 16) & 1)) >> 16;
}

float readElement(const void* source, DType dtype, size_t index) {
  if (dtype == DType::bf16) return fromBits((uint32_t)((const uint16_t*)source)[index] << 16);
  if (dtype == DType::f16) return halfToFloat(((const uint16_t*)source)[index]);
  return ((const float*)source)[index];
}

// Stores one element; 1 when what was stored is infinite or NaN.
uint32_t writeElement(void* out, DType dtype, size_t index, float value) {
  if (dtype == DType::bf16) {
    uint16_t pattern = floatToBf16(value);
    ((uint16_t*)out)[index] = pattern;
    return (pattern & 0x7f80u) == 0x7f80u;
  }
  if (dtype == DType::f16) {
    uint16_t pattern = floatToHalf(value);
    ((uint16_t*)out)[index] = pattern;
    return (pattern & 0x7c00u) == 0x7c00u;
  }
  ((float*)out)[index] = value;
  return (bitsOf(value) & 0x7f800000u) == 0x7f800000u;
}

// The same storage type on both sides: patterns move untouched.
template <class Word>
uint32_t packSame(Word* out, const Word* source, uint32_t cols, uint32_t lane, Word exponent) {
  uint32_t bad = 0;
  for (uint32_t c = 0; c < cols; c++) {
    bad += (source[c] & exponent) == exponent;
    out[(size_t)c * kTileRows + lane] = source[c];
  }
  return bad;
}

}  // namespace

void widen(const void* source, DType dtype, size_t count, float* out) {
  size_t i = 0;
  if (dtype != DType::f32) {
    const uint16_t* patterns = (const uint16_t*)source;
    for (; i + 8 <= count; i += 8) {
      f32x4 low, high;
      v128_t packed = wasm_v128_load(patterns + i);
      if (dtype == DType::bf16) widenBf16(packed, low, high);
      else widenF16(packed, low, high);
      store(out + i, low);
      store(out + i + 4, high);
    }
  }
  for (; i < count; i++) out[i] = readElement(source, dtype, i);
}

void readWeightRow(const Operand& weight, uint32_t row, float* out) {
  uint32_t cols = weight.cols;
  if (weight.layout == Layout::plain) {
    widen(weight.data + (size_t)row * weight.stride * elementBytes(weight.dtype), weight.dtype, cols, out);
    return;
  }
  size_t first = (size_t)(row / kTileRows) * cols * kTileRows + row % kTileRows;
  for (uint32_t c = 0; c < cols; c++) {
    out[c] = readElement(weight.data, weight.dtype, first + (size_t)c * kTileRows);
  }
}

uint32_t packRows(void* tiles, DType dtype, uint32_t cols, const void* source, DType sourceDType, uint32_t firstRow,
                  uint32_t count) {
  uint32_t bad = 0;
  for (uint32_t r = 0; r < count; r++) {
    uint32_t row = firstRow + r, lane = row % kTileRows;
    size_t from = (size_t)r * cols, tile = (size_t)(row / kTileRows) * cols * kTileRows;
    if (dtype != sourceDType) {
      for (uint32_t c = 0; c < cols; c++) {
        float value = readElement(source, sourceDType, from + c);
        bad += writeElement(tiles, dtype, tile + (size_t)c * kTileRows + lane, value);
      }
    } else if (dtype == DType::f32) {
      bad += packSame<uint32_t>((uint32_t*)tiles + tile, (const uint32_t*)source + from, cols, lane, 0x7f800000u);
    } else {
      uint16_t exponent = dtype == DType::bf16 ? 0x7f80u : 0x7c00u;
      bad += packSame<uint16_t>((uint16_t*)tiles + tile, (const uint16_t*)source + from, cols, lane, exponent);
    }
  }
  return bad;
}

uint32_t convertElements(void* out, DType dtype, const void* source, DType sourceDType, size_t count) {
  uint32_t bad = 0;
  for (size_t i = 0; i < count; i++) bad += writeElement(out, dtype, i, readElement(source, sourceDType, i));
  return bad;
}

}  // namespace glimt
