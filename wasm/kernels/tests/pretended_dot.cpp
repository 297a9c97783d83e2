// In place of byte_dot.cpp in a module of tests: hosts that this one is not.
#include "pretended_dot.h"

#include <emscripten.h>

namespace glimt {
namespace {

ByteDot pretended = ByteDot::none;

struct Bytes {
  alignas(16) int8_t at[16];

  explicit Bytes(v128_t vector) { wasm_v128_store(at, vector); }
};

int32_t product(const Bytes& a, const Bytes& b, uint32_t i) {
  return a.at[i] * (pretended == ByteDot::asSigned ? b.at[i] : (uint8_t)b.at[i]);
}

}  // namespace

ByteDot byteDot() { return pretended; }

v128_t pretendedHalves(v128_t a, v128_t b) {
  Bytes x(a), y(b);
  alignas(16) int16_t sums[8];
  for (uint32_t i = 0; i < 8; i++) {
    int32_t sum = product(x, y, 2 * i) + product(x, y, 2 * i + 1);
    sums[i] = (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
  }
  return wasm_v128_load(sums);
}

v128_t pretendedDot(v128_t a, v128_t b, v128_t sum) {
  if (pretended == ByteDot::lowBits) {
    v128_t pairs = wasm_i32x4_extadd_pairwise_i16x8(pretendedHalves(a, b));
    return wasm_i32x4_add(sum, pairs);
  }
  Bytes x(a), y(b);
  alignas(16) int32_t sums[4];
  wasm_v128_store(sums, sum);
  for (uint32_t i = 0; i < 16; i++) sums[i / 4] += product(x, y, i);
  return wasm_v128_load(sums);
}

}  // namespace glimt

extern "C" EMSCRIPTEN_KEEPALIVE void glimt_pretend(glimt::ByteDot dot) { glimt::pretended = dot; }
