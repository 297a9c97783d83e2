// Loops over one row, four values at a time.
#pragma once
#include "simd.h"

namespace glimt {

// y[i] = f(a[i], b[i]) for i < n; y may be a or b.
template <class F>
void mapRow(const float* a, const float* b, float* y, uint32_t n, F f) {
  uint32_t i = 0;
  for (; i + 4 <= n; i += 4) store(y + i, f(load(a + i), load(b + i)));
  if (i < n) storePart(y + i, f(loadPart(a + i, n - i), loadPart(b + i, n - i)), n - i);
}

// The sum over i < n of f(x[i]); f(0) must be 0. Sixteen partial sums, so rounding grows with n / 16.
template <class F>
float sumRow(const float* x, uint32_t n, F f) {
  f32x4 s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  uint32_t i = 0;
  for (; i + 16 <= n; i += 16) {
    s0 = add(s0, f(load(x + i)));
    s1 = add(s1, f(load(x + i + 4)));
    s2 = add(s2, f(load(x + i + 8)));
    s3 = add(s3, f(load(x + i + 12)));
  }
  for (; i + 4 <= n; i += 4) s0 = add(s0, f(load(x + i)));
  float sum = sumLanes(add(add(s0, s1), add(s2, s3)));
  for (; i < n; i++) sum += wasm_f32x4_extract_lane(f(loadPart(x + i, 1)), 0);
  return sum;
}

inline f32x4 swish(f32x4 gate) { return mul(gate, sigmoid(gate)); }

}  // namespace glimt
