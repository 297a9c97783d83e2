// scale = amax / 127 and q = x (127 / amax), to the nearest and ties to even, where amax is the largest magnitude of a block;
// below 2^-100 all are zero. Where amax is infinite or NaN the integers are zero, so that 0 * scale is NaN.
#include "block_rows.h"

#include "byte_dot.h"

namespace glimt {
namespace {

// In memory, as simd.h says of Constant.
struct BlockConstants {
  Constant magnitude, rounder;
  alignas(16) int16_t ones[8];
};
// 1.5 * 2^23: float32 has no fractions there, and the low bits are the integer.
const BlockConstants kBlock = {__builtin_bit_cast(float, 0x7fffffffu), 12582912.0f, {1, 1, 1, 1, 1, 1, 1, 1}};

constexpr uint32_t kLeastMagnitude = (127u - 100u) << 23, kInfinity = 0x7f800000u;

// What was added to a weight's integers as the scheme reads them.
int32_t offsetOf(DType weights) {
  if (weights == DType::q4) return 8;
  return blockScheme(weights) == BlockScheme::signedBytes ? 0 : 128;
}

// The bits of the largest magnitude: as integers, magnitudes are in order, and NaN is above all.
uint32_t largestMagnitude(const float* x) {
  v128_t mask = splat(&kBlock.magnitude), largest = zero();
  for (uint32_t i = 0; i < kBlockCols; i += 4) largest = wasm_i32x4_max(largest, wasm_v128_and(load(x + i), mask));
  largest = wasm_i32x4_max(largest, wasm_i32x4_shuffle(largest, largest, 2, 3, 0, 1));
  largest = wasm_i32x4_max(largest, wasm_i32x4_shuffle(largest, largest, 1, 0, 3, 2));
  return (uint32_t)wasm_i32x4_extract_lane(largest, 0);
}

// A block's integers.
struct Integers {
  v128_t halves[2];
};

Integers roundAll(const float* x, float inverse) {
  v128_t factor = splat(inverse), rounder = splat(&kBlock.rounder);
  v128_t words[4];
#pragma unroll
  for (uint32_t i = 0; i < 4; i++) {
    v128_t low = wasm_i32x4_sub(add(mul(load(x + 8 * i), factor), rounder), rounder);
    v128_t high = wasm_i32x4_sub(add(mul(load(x + 8 * i + 4), factor), rounder), rounder);
    words[i] = wasm_i16x8_narrow_i32x4(low, high);
  }
  return {{wasm_i8x16_narrow_i16x8(words[0], words[1]), wasm_i8x16_narrow_i16x8(words[2], words[3])}};
}

int32_t sumOf(const Integers& q) {
  v128_t pairs = wasm_i16x8_add(wasm_i16x8_extadd_pairwise_i8x16(q.halves[0]), wasm_i16x8_extadd_pairwise_i8x16(q.halves[1]));
  v128_t sums = wasm_i32x4_dot_i16x8(pairs, wasm_v128_load(kBlock.ones));
  sums = wasm_i32x4_add(sums, wasm_i32x4_shuffle(sums, sums, 2, 3, 0, 1));
  return wasm_i32x4_extract_lane(sums, 0) + wasm_i32x4_extract_lane(sums, 1);
}

// The four lanes at `at`, `step` bytes apart.
void spread(v128_t lanes, uint8_t* at, size_t step) {
  wasm_v128_store32_lane(at, lanes, 0);
  wasm_v128_store32_lane(at + step, lanes, 1);
  wasm_v128_store32_lane(at + 2 * step, lanes, 2);
  wasm_v128_store32_lane(at + 3 * step, lanes, 3);
}

void quantiseBlock(const float* x, int32_t offset, bool words, uint32_t count, uint32_t row, uint8_t* block) {
  uint32_t magnitude = largestMagnitude(x);
  float amax = __builtin_bit_cast(float, magnitude), scale = 0;
  Integers q = {{zero(), zero()}};
  if (magnitude >= kLeastMagnitude) scale = amax / 127.0f;
  if (magnitude >= kLeastMagnitude && magnitude < kInfinity) q = roundAll(x, 127.0f / amax);
  ((float*)block)[row] = scale;
  ((int32_t*)block)[count + row] = -offset * sumOf(q);
  uint8_t* values = block + 4 * (2 * count + row);
  size_t step = 4 * count;
  for (v128_t half : q.halves) {
    if (words) {
      spread(wasm_i16x8_shr(wasm_i16x8_shl(half, 8), 8), values, 2 * step);
      spread(wasm_i16x8_shr(half, 8), values + step, 2 * step);
      values += 8 * step;
    } else {
      spread(half, values, step);
      values += 4 * step;
    }
  }
}

}  // namespace

BlockScheme blockScheme(DType weights) {
  switch (byteDot()) {
    case ByteDot::asUnsigned: return BlockScheme::unsignedBytes;
    case ByteDot::asSigned: return BlockScheme::signedBytes;
    case ByteDot::lowBits: return weights == DType::q4 ? BlockScheme::halves : BlockScheme::words;
    case ByteDot::none: break;
  }
  return BlockScheme::words;
}

void quantisePanel(const float* const* rows, uint32_t count, uint32_t cols, DType weights, uint8_t* panel) {
  BlockScheme scheme = blockScheme(weights);
  int32_t offset = offsetOf(weights);
  size_t bytes = (size_t)blockRowBytes(scheme, kBlockCols) * count;
  for (uint32_t first = 0; first < cols; first += kBlockCols, panel += bytes) {
    for (uint32_t r = 0; r < count; r++) {
      quantiseBlock(rows[r] + first, offset, scheme == BlockScheme::words, count, r, panel);
    }
  }
}

void joinPanel(const uint8_t* const* rows, uint32_t count, uint32_t cols, BlockScheme scheme, uint8_t* panel) {
  // All that a panel holds is in fours of bytes, row beside row.
  uint32_t fours = (uint32_t)(blockRowBytes(scheme, cols) / 4);
  uint32_t* to = (uint32_t*)panel;
  for (uint32_t i = 0; i < fours; i++) {
    for (uint32_t r = 0; r < count; r++) *to++ = ((const uint32_t*)rows[r])[i];
  }
}

}  // namespace glimt
