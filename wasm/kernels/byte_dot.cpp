// One look at the instruction, when the module is initialised: what it does is the same as long as an engine runs.
#include "byte_dot.h"

#include <wasm_simd128.h>

namespace glimt {
namespace {

#ifdef __wasm_relaxed_simd__
struct Probe {
  int8_t a[4];
  uint8_t b[4];
};

// Pairs that are too large together for 16 bits, of either sign, pairs that cancel, and the ends of both ranges.
volatile Probe probes[] = {
    {{127, 127, 127, 127}, {255, 255, 255, 255}},    {{-127, -127, -127, -127}, {255, 255, 255, 255}},
    {{127, -127, 127, -127}, {255, 255, 128, 254}},  {{127, 127, -127, -127}, {128, 129, 200, 255}},
    {{-128, 127, 1, -1}, {128, 127, 255, 0}},        {{100, 1, -100, 3}, {129, 254, 131, 127}},
};

ByteDot probe() {
  bool asUnsigned = true, asSigned = true;
  for (volatile Probe& p : probes) {
    int32_t unsignedSum = 1, signedSum = 1;
    uint32_t a = 0, b = 0;
    for (uint32_t i = 0; i < 4; i++) {
      int8_t x = p.a[i];
      uint8_t y = p.b[i];
      a |= (uint32_t)(uint8_t)x << 8 * i, b |= (uint32_t)y << 8 * i;
      unsignedSum += x * y, signedSum += x * (int8_t)y;
    }
    v128_t sum = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_i32x4_splat((int32_t)a), wasm_i32x4_splat((int32_t)b),
                                                        wasm_i32x4_splat(1));
    asUnsigned &= wasm_i32x4_extract_lane(sum, 0) == unsignedSum;
    asSigned &= wasm_i32x4_extract_lane(sum, 0) == signedSum;
  }
  return asUnsigned ? ByteDot::asUnsigned : asSigned ? ByteDot::asSigned : ByteDot::lowBits;
}
#else
ByteDot probe() { return ByteDot::none; }
#endif

const ByteDot found = probe();

}  // namespace

ByteDot byteDot() { return found; }

}  // namespace glimt
