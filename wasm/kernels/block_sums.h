// How products of integers are summed, kCols columns an instruction.
#pragma once
#include <wasm_simd128.h>

#include "block_constants.h"
#include "tile.h"

namespace glimt {
namespace {

// In lanes of 32 bits where `kWide`, of 16 otherwise, which hold those of so many steps. `first` is a sum's first product. As
// many steps follow each other without a jump as was quickest: of more, values are kept in memory.

constexpr uint32_t mostSteps(uint32_t bits) { return bits == 4 ? 8 : bits == 5 ? 4 : 2; }

#ifdef __wasm_relaxed_simd__
struct Bytes {
  static constexpr uint32_t kCols = 4, kMostRows = kPanelRows, kStepsAtOnce = 2;
  static constexpr bool kWide = true;

  static v128_t add(v128_t x, v128_t w, v128_t sum) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, w, sum); }
  static v128_t first(v128_t x, v128_t w) { return add(x, w, zero()); }
};

// Where that is several instructions.
struct Pairs {
  // V8 keeps the sums of four rows in registers, and unrolls their loop.
  static constexpr uint32_t kCols = 4, kMostRows = 4, kStepsAtOnce = 1;
  static constexpr bool kWide = true;

  static v128_t first(v128_t x, v128_t w) {
    return wasm_i32x4_dot_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16(x, w), wasm_v128_load(kTile.ones));
  }
  static v128_t add(v128_t x, v128_t w, v128_t sum) { return wasm_i32x4_add(sum, first(x, w)); }
};

struct Halves {
  static constexpr uint32_t kCols = 4, kMostRows = Pairs::kMostRows, kStepsAtOnce = 2;
  static constexpr bool kWide = false;

  static v128_t first(v128_t x, v128_t w) { return wasm_i16x8_relaxed_dot_i8x16_i7x16(x, w); }
  static v128_t add(v128_t x, v128_t w, v128_t sum) { return wasm_i16x8_add(sum, first(x, w)); }
};
#endif

struct Words {
  // A product that is not added as it is made takes a register.
  static constexpr uint32_t kCols = 2, kMostRows = kPanelRows - 1, kStepsAtOnce = 1;
  static constexpr bool kWide = true;

  static v128_t first(v128_t x, v128_t w) { return wasm_i32x4_dot_i16x8(x, w); }
  static v128_t add(v128_t x, v128_t w, v128_t sum) { return wasm_i32x4_add(sum, first(x, w)); }
};

}  // namespace
}  // namespace glimt
