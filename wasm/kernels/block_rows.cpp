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
  // Of a pair of columns, in a step's flips.
  alignas(16) uint16_t flips[8];
};
// 1.5 * 2^23: float32 has no fractions there, and the low bits are the integer.
const BlockConstants kBlock = {__builtin_bit_cast(float, 0x7fffffffu), 12582912.0f, {1, 1, 1, 1, 1, 1, 1, 1}, {32, 64, 32, 64, 32, 64, 32, 64}};

constexpr uint32_t kLeastMagnitude = (127u - 100u) << 23, kInfinity = 0x7f800000u;

// How rows meet weights of a format.
struct Meeting {
  // What was added to the weight's integers as the scheme reads them.
  int32_t offset;
  bool hasMinima, hasTwoScales;
  BlockScheme scheme;

  explicit Meeting(DType weights)
      : hasMinima(glimt::hasMinima(weights)), hasTwoScales(groupCols(weights) < kBlockCols), scheme(blockScheme(weights)) {
    offset = 1 << (bitsOfInteger(weights) - 1);
    if (weights == DType::q8 && scheme == BlockScheme::signedBytes) offset = 0;
  }
};

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

// Of 16 integers, in sums of pairs.
v128_t pairsOf(v128_t half) { return wasm_i16x8_extadd_pairwise_i8x16(half); }

int32_t sumOf(v128_t pairs) {
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

// Four columns a step of row `row`; returns where the next step is.
uint8_t* storeValues(v128_t half, bool areWords, uint32_t count, uint8_t* values) {
  size_t step = 4 * count;
  if (!areWords) {
    spread(half, values, step);
    return values + 4 * step;
  }
  spread(wasm_i16x8_shr(wasm_i16x8_shl(half, 8), 8), values, 2 * step);
  spread(wasm_i16x8_shr(half, 8), values + step, 2 * step);
  return values + 8 * step;
}

// How the signs of x come to its products with w by magnitudes: the factor of a pair of columns is the sign of the first one,
// and where the second has another, its w is flipped, ~w = -w - 1. Returns the sum of those second columns, by which sums are
// too large then.
int32_t storeFlipped(const Integers& q, uint32_t count, uint32_t row, uint8_t* block) {
  v128_t ones = wasm_v128_load(kBlock.ones), more = zero(), flips[2];
  size_t step = 4 * count;
  uint8_t* values = block + 4 * step + 4 * row;
#pragma unroll
  for (uint32_t half = 0; half < 2; half++, values += 8 * step) {
    v128_t pairs = q.halves[half], first = wasm_i16x8_shl(pairs, 8);
    v128_t differ = wasm_i16x8_shr(wasm_v128_xor(pairs, first), 15);
    spread(wasm_i8x16_abs(pairs), values, 2 * step);
    spread(wasm_v128_or(wasm_i16x8_shr(first, 15), ones), values + step, 2 * step);
    more = wasm_i16x8_add(more, wasm_v128_and(wasm_i16x8_shr(pairs, 8), differ));
    flips[half] = wasm_u32x4_extadd_pairwise_u16x8(wasm_v128_and(differ, wasm_v128_load(kBlock.flips)));
  }
  v128_t bytes = wasm_i16x8_narrow_i32x4(flips[0], flips[1]);
  bytes = wasm_u8x16_narrow_i16x8(bytes, bytes);
  wasm_v128_store32_lane(block + 2 * step + 4 * row, bytes, 0);
  wasm_v128_store32_lane(block + 3 * step + 4 * row, bytes, 1);
  return sumOf(more);
}

void quantiseBlock(const float* x, const Meeting& meeting, uint32_t count, uint32_t row, uint8_t* block) {
  uint32_t magnitude = largestMagnitude(x);
  float amax = __builtin_bit_cast(float, magnitude), scale = 0;
  Integers q = {{zero(), zero()}};
  if (magnitude >= kLeastMagnitude) scale = amax / 127.0f;
  if (magnitude >= kLeastMagnitude && magnitude < kInfinity) q = roundAll(x, 127.0f / amax);
  ((float*)block)[row] = scale;
  uint8_t* second = block + 4 * (count + row);
  if (meeting.scheme == BlockScheme::flippedPairs) {
    *(int32_t*)second = -storeFlipped(q, count, row, block);
    return;
  }
  v128_t pairs[2] = {pairsOf(q.halves[0]), pairsOf(q.halves[1])};
  if (meeting.hasTwoScales) {
    for (uint32_t half = 0; half < 2; half++) ((int16_t*)second)[half] = (int16_t)sumOf(pairs[half]);
  } else {
    int32_t sum = sumOf(wasm_i16x8_add(pairs[0], pairs[1]));
    if (meeting.hasMinima) *(float*)second = (float)sum * scale;
    else *(int32_t*)second = -meeting.offset * sum;
  }
  bool areWords = meeting.scheme == BlockScheme::words;
  uint8_t* values = storeValues(q.halves[0], areWords, count, block + 4 * (2 * count + row));
  storeValues(q.halves[1], areWords, count, values);
}

}  // namespace

BlockScheme blockScheme(DType weights) {
#ifdef __wasm_relaxed_simd__
  bool isShort = weights != DType::q8;
  switch (byteDot()) {
    case ByteDot::asUnsigned: return BlockScheme::unsignedBytes;
    case ByteDot::asSigned: return isShort ? BlockScheme::unsignedBytes : BlockScheme::signedBytes;
    case ByteDot::lowBits:
    case ByteDot::none: return isShort ? BlockScheme::halves : BlockScheme::flippedPairs;
  }
#endif
  (void)weights;
  return BlockScheme::words;
}

void quantisePanel(const float* const* rows, uint32_t count, uint32_t cols, DType weights, uint8_t* panel) {
  Meeting meeting(weights);
  size_t bytes = (size_t)blockRowBytes(weights, kBlockCols) * count;
  for (uint32_t first = 0; first < cols; first += kBlockCols, panel += bytes) {
    for (uint32_t r = 0; r < count; r++) quantiseBlock(rows[r] + first, meeting, count, r, panel);
  }
}

void joinPanel(const uint8_t* const* rows, uint32_t count, uint32_t cols, DType weights, uint8_t* panel) {
  // All that a panel holds is in fours of bytes, row beside row.
  uint32_t fours = (uint32_t)(blockRowBytes(weights, cols) / 4);
  uint32_t* to = (uint32_t*)panel;
  for (uint32_t i = 0; i < fours; i++) {
    for (uint32_t r = 0; r < count; r++) *to++ = ((const uint32_t*)rows[r])[i];
  }
}

}  // namespace glimt
