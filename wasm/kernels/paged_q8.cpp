// The steps of a cache in q8, by integers: src/backends/reference/block-attention.ts has the same ones, and all variants give
// the same bits. A row in the cache is ggml's Q8_0: blocks of 32 dimensions, a scale in f16 (a magnitude) and 32 integers.
//
// A query becomes integers of 16 bits that share a scale, so that what a block of a key adds to a score is one exact sum times
// two scales. A block of 96 keys has for each 32 dimensions weights times the values' scales, as integers of 14 bits with
// one scale again: an output is one exact sum for each block of keys. What is not finite makes scales so.
#include "paged_block.h"

#include "byte_dot.h"
#include "glimt_storage.h"
#include "touch_all.h"

namespace glimt {
namespace {

constexpr uint32_t kCols = 32, kScaleBytes = sizeof(uint16_t);
constexpr uint32_t kBlockBytes = (uint32_t)storageBytes(program::DType::q8, 1, kCols);

// The largest integers.
constexpr float kMostOfQuery = 32767, kMostOfWeights = 16383;
constexpr uint32_t kLeastMagnitude = (127u - 100u) << 23, kInfinityBits = 0x7f800000u;

// Integers of 16 bits: value * inverse to the nearest, ties to even, where scale * integer is the value.
struct Rounding {
  float scale, inverse;

  // By the bits of the largest magnitude. Below 2^-100 all are zeros; of what is not finite the scale is NaN.
  Rounding(uint32_t magnitude, float most) : scale(0), inverse(0) {
    if (magnitude >= kInfinityBits) scale = __builtin_nanf("");
    else if (magnitude >= kLeastMagnitude) {
      float largest = __builtin_bit_cast(float, magnitude);
      scale = largest / most, inverse = most / largest;
    }
  }

  // Of eight values. Where the scale is NaN they may be anything.
  v128_t words(const float* values) const {
    f32x4 factor = splat(inverse), rounder = splat(&kExp2.rounder);
    v128_t low = wasm_i32x4_sub(add(mul(load(values), factor), rounder), rounder);
    v128_t high = wasm_i32x4_sub(add(mul(load(values + 4), factor), rounder), rounder);
    return wasm_i16x8_narrow_i32x4(low, high);
  }
};

// Of four lanes of bits, the largest.
uint32_t largestLane(v128_t lanes) {
  lanes = wasm_u32x4_max(lanes, wasm_i32x4_shuffle(lanes, lanes, 2, 3, 0, 1));
  lanes = wasm_u32x4_max(lanes, wasm_i32x4_shuffle(lanes, lanes, 1, 0, 3, 2));
  return (uint32_t)wasm_i32x4_extract_lane(lanes, 0);
}

size_t rowBytes(uint32_t headDim) { return (size_t)(headDim / kCols) * kBlockBytes; }

// The integers take the place of the query.
void begin(PagedRow& row, uint32_t headDim) {
  v128_t mask = wasm_i32x4_splat(0x7fffffff), largest = zero();
  for (uint32_t d = 0; d < headDim; d += 4) largest = wasm_u32x4_max(largest, wasm_v128_and(load(row.q + d), mask));
  Rounding rounding(largestLane(largest), kMostOfQuery);
  int16_t* words = (int16_t*)row.q;
  for (uint32_t d = 0; d < headDim; d += 8) wasm_v128_store(words + d, rounding.words(row.q + d));
  row.scale = rounding.scale;
}

// The scales of four blocks; NaN where they are not finite.
f32x4 scalesOf(const uint8_t* const (&blocks)[4]) {
  v128_t patterns = wasm_v128_load16_lane(blocks[0], zero(), 0);
  patterns = wasm_v128_load16_lane(blocks[1], patterns, 2);
  patterns = wasm_v128_load16_lane(blocks[2], patterns, 4);
  patterns = wasm_v128_load16_lane(blocks[3], patterns, 6);
  v128_t bits = wasm_i32x4_shl(patterns, 13);
  v128_t bad = wasm_v128_and(wasm_i32x4_gt(bits, splat(&kHalf.lastFinite)), splat(&kHalf.notNumber));
  return wasm_v128_or(mul(bits, splat(&kHalf.rebias)), bad);
}

// Sums of the lanes of each.
v128_t sumEach(v128_t a, v128_t b, v128_t c, v128_t d) {
  v128_t ab = wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), wasm_i32x4_shuffle(a, b, 2, 6, 3, 7));
  v128_t cd = wasm_i32x4_add(wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), wasm_i32x4_shuffle(c, d, 2, 6, 3, 7));
  return wasm_i32x4_add(wasm_i32x4_shuffle(ab, cd, 0, 1, 4, 5), wasm_i32x4_shuffle(ab, cd, 2, 3, 6, 7));
}

template <uint32_t R>
void scoreRows(PagedRow* rows, const BlockRows& keys, size_t offset, uint32_t headDim) {
  for (uint32_t slot = 0; slot < slotsOf(keys.keys); slot += 4) {
    const uint8_t* k[4];
    f32x4 score[R];
#pragma unroll
    for (uint32_t n = 0; n < 4; n++) k[n] = keys.at[kSlotKeys.of[slot + n]] + offset;
#pragma unroll
    for (uint32_t r = 0; r < R; r++) score[r] = zero();
    // All lines are asked for at once, those of the values too: they are read in an order that no host foresees.
    for (uint32_t at = 0; at < rowBytes(headDim); at += kCacheLine) {
#pragma unroll
      for (uint32_t n = 0; n < 4; n++) touch(k[n] + at), touch(k[n] + keys.toValues + at);
    }
    for (uint32_t d = 0; d < headDim; d += kCols) {
      v128_t sum[R][4];
      auto multiply = [&](uint32_t c, bool isFirst) __attribute__((always_inline)) {
        v128_t q[R];
#pragma unroll
        for (uint32_t r = 0; r < R; r++) q[r] = wasm_v128_load((const int16_t*)rows[r].q + d + c);
#pragma unroll
        for (uint32_t n = 0; n < 4; n++) {
          v128_t key = wasm_i16x8_load8x8(k[n] + kScaleBytes + c);
#pragma unroll
          for (uint32_t r = 0; r < R; r++) {
            v128_t products = wasm_i32x4_dot_i16x8(key, q[r]);
            sum[r][n] = isFirst ? products : wasm_i32x4_add(sum[r][n], products);
          }
        }
      };
      multiply(0, true);
      // Not unrolled: a row would be multiplied after the other, and all keys would stay alive.
#pragma nounroll
      for (uint32_t c = 8; c < kCols; c += 8) multiply(c, false);
      f32x4 scales = scalesOf(k);
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
        v128_t whole = sumEach(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
        score[r] = add(score[r], mul(wasm_f32x4_convert_i32x4(whole), scales));
      }
#pragma unroll
      for (uint32_t n = 0; n < 4; n++) k[n] += kBlockBytes;
    }
#pragma unroll
    for (uint32_t r = 0; r < R; r++) store(rows[r].weights + slot, mul(score[r], splat(rows[r].scale)));
  }
}

void score(PagedRow* rows, uint32_t count, const BlockRows& keys, size_t offset, uint32_t headDim) {
  for (uint32_t r = 0; r < count; r += 2) {
    (count - r > 1 ? scoreRows<2> : scoreRows<1>)(rows + r, keys, offset, headDim);
  }
}

// A row's integer weights by slot, and how they meet some dimensions of the values of some slots: all give the same sums.

#ifdef __wasm_relaxed_simd__
// Weights in two halves of 7 bits, with which the product of bytes is exact on every host; it is one instruction on some.
struct HalfWeights {
  // Slots that are read together, and vectors of four dimensions.
  static constexpr uint32_t kSlots = 4, kVectors = 2;
  alignas(16) uint8_t high[kBlockKeys], low[kBlockKeys];

  void store(uint32_t slot, v128_t words, v128_t next) {
    v128_t mask = wasm_i16x8_splat(127);
    wasm_v128_store(high + slot, wasm_i8x16_narrow_i16x8(wasm_i16x8_shr(words, 7), wasm_i16x8_shr(next, 7)));
    wasm_v128_store(low + slot, wasm_i8x16_narrow_i16x8(wasm_v128_and(words, mask), wasm_v128_and(next, mask)));
  }

  // Four dimensions of four slots each.
  static void read(const uint8_t* const* at, size_t first, v128_t (&dims)[kVectors]) {
    v128_t a = wasm_v128_load64_zero(at[0] + first), b = wasm_v128_load64_zero(at[1] + first);
    v128_t c = wasm_v128_load64_zero(at[2] + first), d = wasm_v128_load64_zero(at[3] + first);
    v128_t ab = wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    v128_t cd = wasm_i8x16_shuffle(c, d, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    dims[0] = wasm_i16x8_shuffle(ab, cd, 0, 8, 1, 9, 2, 10, 3, 11);
    dims[1] = wasm_i16x8_shuffle(ab, cd, 4, 12, 5, 13, 6, 14, 7, 15);
  }

  struct Sums {
    v128_t high[kVectors], low[kVectors];

    void clear() {
#pragma unroll
      for (uint32_t i = 0; i < kVectors; i++) high[i] = low[i] = zero();
    }
    void add(const v128_t (&dims)[kVectors], const HalfWeights& weights, uint32_t slot) {
      v128_t upper = wasm_v128_load32_splat(weights.high + slot), lower = wasm_v128_load32_splat(weights.low + slot);
#pragma unroll
      for (uint32_t i = 0; i < kVectors; i++) {
        high[i] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(dims[i], upper, high[i]);
        low[i] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(dims[i], lower, low[i]);
      }
    }
    v128_t whole(uint32_t i) const { return wasm_i32x4_add(wasm_i32x4_shl(high[i], 7), low[i]); }
  };
};
#endif

// Weights as words: fewer instructions where a product of bytes is several.
struct WordWeights {
  static constexpr uint32_t kSlots = 2, kVectors = 4;
  alignas(16) int16_t words[kBlockKeys];

  void store(uint32_t slot, v128_t some, v128_t next) {
    wasm_v128_store(words + slot, some), wasm_v128_store(words + slot + 8, next);
  }

  // Four dimensions of two slots each.
  static void read(const uint8_t* const* at, size_t first, v128_t (&dims)[kVectors]) {
#pragma unroll
    for (uint32_t i = 0; i < kVectors; i += 2) {
      v128_t a = wasm_i16x8_load8x8(at[0] + first + 4 * i), b = wasm_i16x8_load8x8(at[1] + first + 4 * i);
      dims[i] = wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
      dims[i + 1] = wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
    }
  }

  struct Sums {
    v128_t sums[kVectors];

    void clear() {
#pragma unroll
      for (uint32_t i = 0; i < kVectors; i++) sums[i] = zero();
    }
    void add(const v128_t (&dims)[kVectors], const WordWeights& weights, uint32_t slot) {
      v128_t pair = wasm_v128_load32_splat(weights.words + slot);
#pragma unroll
      for (uint32_t i = 0; i < kVectors; i++) sums[i] = wasm_i32x4_add(sums[i], wasm_i32x4_dot_i16x8(dims[i], pair));
    }
    v128_t whole(uint32_t i) const { return sums[i]; }
  };
};

// Weights times scales as integers, whose scale is returned. Keys without weight, which are not seen, have none.
template <class Weights>
float roundWeights(const float* weights, const float* scales, uint32_t slots, Weights& to) {
  alignas(16) float scaled[kBlockKeys];
  v128_t largest = zero();
  for (uint32_t i = 0; i < slots; i += 4) {
    f32x4 weight = load(weights + i);
    f32x4 product = wasm_v128_and(mul(weight, load(scales + i)), wasm_f32x4_ne(weight, zero()));
    store(scaled + i, product);
    largest = wasm_u32x4_max(largest, product);
  }
  Rounding rounding(largestLane(largest), kMostOfWeights);
  for (uint32_t i = 0; i < slots; i += 16) to.store(i, rounding.words(scaled + i), rounding.words(scaled + i + 8));
  return rounding.scale;
}

// R rows and 32 dimensions from d on, whose blocks are at `at`, by slot.
template <class Weights, uint32_t R>
void addBlock(PagedRow* rows, const uint8_t* const* at, uint32_t slots, uint32_t d) {
  alignas(16) float scales[kBlockKeys];
  Weights weights[R];
  float scale[R];
  size_t place = d / kCols * kBlockBytes;
  for (uint32_t slot = 0; slot < slots; slot += 4) {
    const uint8_t* blocks[4] = {at[slot] + place, at[slot + 1] + place, at[slot + 2] + place, at[slot + 3] + place};
    store(scales + slot, scalesOf(blocks));
  }
#pragma unroll
  for (uint32_t r = 0; r < R; r++) scale[r] = roundWeights(rows[r].weights, scales, slots, weights[r]);
  constexpr uint32_t kVectors = Weights::kVectors;
  for (uint32_t i = 0; i < kCols; i += 4 * kVectors) {
    typename Weights::Sums sums[R];
#pragma unroll
    for (uint32_t r = 0; r < R; r++) sums[r].clear();
    for (uint32_t slot = 0; slot < slots; slot += Weights::kSlots) {
      v128_t dims[kVectors];
      Weights::read(at + slot, place + kScaleBytes + i, dims);
#pragma unroll
      for (uint32_t r = 0; r < R; r++) sums[r].add(dims, weights[r], slot);
    }
#pragma unroll
    for (uint32_t r = 0; r < R; r++) {
#pragma unroll
      for (uint32_t v = 0; v < kVectors; v++) {
        float* to = rows[r].sums + d + i + 4 * v;
        store(to, add(load(to), mul(wasm_f32x4_convert_i32x4(sums[r].whole(v)), splat(scale[r]))));
      }
    }
  }
}

template <class Weights>
void addBlocks(PagedRow* rows, uint32_t count, const uint8_t* const* at, uint32_t slots, uint32_t headDim) {
  for (uint32_t r = 0; r < count; r += 2) {
    for (uint32_t d = 0; d < headDim; d += kCols) {
      (count - r > 1 ? addBlock<Weights, 2> : addBlock<Weights, 1>)(rows + r, at, slots, d);
    }
  }
}

void addValues(PagedRow* rows, uint32_t count, const BlockRows& values, size_t offset, uint32_t headDim) {
  const uint8_t* at[kBlockKeys];
  // Rounded to whole vectors of weights, whose last ones may be of absent keys.
  uint32_t slots = (slotsOf(values.keys) + 15) / 16 * 16;
  for (uint32_t slot = 0; slot < slots; slot++) at[slot] = values.at[kSlotKeys.of[slot]] + offset;
#ifdef __wasm_relaxed_simd__
  if (byteDot() != ByteDot::lowBits) return addBlocks<HalfWeights>(rows, count, at, slots, headDim);
#endif
  addBlocks<WordWeights>(rows, count, at, slots, headDim);
}

}  // namespace

const BlockSteps kQ8Steps = {rowBytes, begin, score, weighBlock<ApartExp2>, addValues, nullptr, nullptr, false};

}  // namespace glimt
