// Four-lane f32 helpers that the kernels share. `madd` is the one place that chooses between separate
// multiply and add (SIMD128) and relaxed fused multiply-add, which the compiler flags of a module variant allow.
#pragma once
#include <wasm_simd128.h>

#include <cstddef>
#include <cstdint>

namespace glimt {

using f32x4 = v128_t;

inline f32x4 load(const float* p) { return wasm_v128_load(p); }
inline void store(float* p, f32x4 v) { wasm_v128_store(p, v); }
inline f32x4 splat(const float* p) { return wasm_v128_load32_splat(p); }
inline f32x4 splat(float x) { return wasm_f32x4_splat(x); }
inline f32x4 zero() { return wasm_i32x4_const(0, 0, 0, 0); }
inline f32x4 add(f32x4 a, f32x4 b) { return wasm_f32x4_add(a, b); }
inline f32x4 sub(f32x4 a, f32x4 b) { return wasm_f32x4_sub(a, b); }
inline f32x4 mul(f32x4 a, f32x4 b) { return wasm_f32x4_mul(a, b); }
// One maxps: the larger lane, b's where a < b, so a NaN in a survives.
inline f32x4 larger(f32x4 a, f32x4 b) { return wasm_f32x4_pmax(a, b); }

// a * b + c, each rounded.
inline f32x4 addApart(f32x4 a, f32x4 b, f32x4 c) { return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); }

// a * b + c
inline f32x4 madd(f32x4 a, f32x4 b, f32x4 c) {
#ifdef __wasm_relaxed_simd__
  return wasm_f32x4_relaxed_madd(a, b, c);
#else
  return addApart(a, b, c);
#endif
}

// c - a * b
inline f32x4 nmadd(f32x4 a, f32x4 b, f32x4 c) {
#ifdef __wasm_relaxed_simd__
  return wasm_f32x4_relaxed_nmadd(a, b, c);
#else
  return wasm_f32x4_sub(c, wasm_f32x4_mul(a, b));
#endif
}

// Asks for the cache line at p, which is wanted soon.
inline void touch(const void* p) { (void)*(const volatile uint8_t*)p; }

inline float sumLanes(f32x4 v) {
  f32x4 pairs = add(v, wasm_i32x4_shuffle(v, v, 2, 3, 2, 3));
  return wasm_f32x4_extract_lane(pairs, 0) + wasm_f32x4_extract_lane(pairs, 1);
}

// The first `count` (0..3) lanes at p, zeros after them; never reads past p + count.
inline f32x4 loadPart(const float* p, size_t count) {
  alignas(16) float lanes[4] = {0, 0, 0, 0};
  for (size_t i = 0; i < count; i++) lanes[i] = p[i];
  return load(lanes);
}

inline void storePart(float* p, f32x4 v, size_t count) {
  alignas(16) float lanes[4];
  store(lanes, v);
  for (size_t i = 0; i < count; i++) p[i] = lanes[i];
}

// Rows a, b, c, d of a 4 x 4 block become its columns.
inline void transpose(f32x4& a, f32x4& b, f32x4& c, f32x4& d) {
  f32x4 ab0 = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), ab1 = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
  f32x4 cd0 = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), cd1 = wasm_i32x4_shuffle(c, d, 2, 6, 3, 7);
  a = wasm_i32x4_shuffle(ab0, cd0, 0, 1, 4, 5);
  b = wasm_i32x4_shuffle(ab0, cd0, 2, 3, 6, 7);
  c = wasm_i32x4_shuffle(ab1, cd1, 0, 1, 4, 5);
  d = wasm_i32x4_shuffle(ab1, cd1, 2, 3, 6, 7);
}

// A value in all four lanes, in memory of another translation unit: V8 rebuilds a v128.const at each use inside a loop, and
// clang would load neighbouring single values as one vector, of which each use is a shuffle.
struct alignas(16) Constant {
  float lanes[4];

  constexpr Constant(float x) : lanes{x, x, x, x} {}
};
inline f32x4 splat(const Constant* constant) { return load(constant->lanes); }

struct ExpConstants {
  Constant lowest, highest, log2e, rounder, ln2High, ln2Low, p0, p1, p2, p3, p4, p5, one;
};
extern const ExpConstants kExp;

// e^x = 2^n e^r with n = round(x log2 e), r = x - n ln 2 in two pieces, e^r by Cephes' polynomial of degree 7:
// relative error below 2e-7. Below -86 the result is 0, above 88 it is e^88; NaN stays NaN.
inline f32x4 exp(f32x4 x) {
  f32x4 lowest = splat(&kExp.lowest), rounder = splat(&kExp.rounder);
  f32x4 r = wasm_f32x4_pmin(wasm_f32x4_pmax(x, lowest), splat(&kExp.highest));
  f32x4 shifted = madd(r, splat(&kExp.log2e), rounder), n = sub(shifted, rounder);
  r = nmadd(n, splat(&kExp.ln2Low), nmadd(n, splat(&kExp.ln2High), r));
  f32x4 p = madd(splat(&kExp.p0), r, splat(&kExp.p1));
  p = madd(madd(p, r, splat(&kExp.p2)), r, splat(&kExp.p3));
  p = madd(madd(p, r, splat(&kExp.p4)), r, splat(&kExp.p5));
  p = add(madd(p, mul(r, r), r), splat(&kExp.one));
  return wasm_v128_andnot(wasm_i32x4_add(p, wasm_i32x4_shl(shifted, 23)), wasm_f32x4_lt(x, lowest));
}

struct Exp2Constants {
  Constant lowest, rounder, p0, p1, p2, p3, p4, one;
};
extern const Exp2Constants kExp2;

// 2^x for x below 127 = 2^n 2^r with n = round(x), r = x - n, which is exact, and 2^r by the polynomial of degree 5 of least
// relative error: below 2e-7, and none where x is an integer. Below -126 the result is 2^-126; NaN stays NaN. The object
// holds the constants, so that a loop has them in registers.
template <f32x4 (*multiplyAdd)(f32x4, f32x4, f32x4)>
struct Exp2By {
  f32x4 lowest = splat(&kExp2.lowest), rounder = splat(&kExp2.rounder), p0 = splat(&kExp2.p0), p1 = splat(&kExp2.p1),
        p2 = splat(&kExp2.p2), p3 = splat(&kExp2.p3), p4 = splat(&kExp2.p4), one = splat(&kExp2.one);

  f32x4 operator()(f32x4 x) const {
    f32x4 bounded = larger(x, lowest), shifted = add(bounded, rounder), r = sub(bounded, sub(shifted, rounder));
    f32x4 p = multiplyAdd(multiplyAdd(multiplyAdd(p0, r, p1), r, p2), r, p3);
    p = multiplyAdd(multiplyAdd(p, r, p4), r, one);
    return wasm_i32x4_add(p, wasm_i32x4_shl(shifted, 23));
  }
};
using Exp2 = Exp2By<madd>;
// The same bits in every variant of the module.
using ApartExp2 = Exp2By<addApart>;

struct ErfcConstants {
  Constant one, two, half, minusRootHalf, t[7], p[9], r[8];
};
extern const ErfcConstants kErfc;

template <uint32_t N>
inline f32x4 polynomial(const Constant (&factors)[N], f32x4 x) {
  f32x4 sum = splat(factors);
  for (uint32_t i = 1; i < N; i++) sum = madd(sum, x, splat(factors + i));
  return sum;
}

// The complementary error function by Cephes' polynomials: 1 - x T(x^2) below 1, else e^(-x^2) q P(q^2) with q = 1/x, and R
// for P from 2 on; erfc(-x) = 2 - erfc(x). Relative error below 1e-6 for x < 3, 6e-6 further out.
inline f32x4 erfc(f32x4 x) {
  f32x4 z = wasm_f32x4_abs(x), one = splat(&kErfc.one), two = splat(&kErfc.two), square = mul(x, x);
  f32x4 near = sub(one, mul(x, polynomial(kErfc.t, square)));
  f32x4 q = wasm_f32x4_div(one, larger(z, one)), y = mul(q, q);
  f32x4 factor = wasm_v128_bitselect(polynomial(kErfc.p, y), polynomial(kErfc.r, y), wasm_f32x4_lt(z, two));
  f32x4 tail = mul(mul(exp(wasm_f32x4_neg(square)), q), factor);
  f32x4 far = wasm_v128_bitselect(sub(two, tail), tail, wasm_f32x4_lt(x, zero()));
  // A NaN is near: it stays.
  return wasm_v128_bitselect(far, near, wasm_f32x4_ge(z, one));
}

inline f32x4 sigmoid(f32x4 x) {
  f32x4 one = splat(&kExp.one);
  return wasm_f32x4_div(one, add(one, exp(wasm_f32x4_neg(x))));
}

// Eight bf16 patterns, widened: the pattern is the upper half of an f32.
inline void widenBf16(v128_t packed, f32x4& low, f32x4& high) {
  low = wasm_i16x8_shuffle(zero(), packed, 0, 8, 1, 9, 2, 10, 3, 11);
  high = wasm_i16x8_shuffle(zero(), packed, 4, 12, 5, 13, 6, 14, 7, 15);
}

// 0xffff0000 in each lane.
extern const Constant kUpperHalf;

struct HalfConstants {
  Constant signAndMagnitude, rebias;
  // The largest that is finite, as it lies before it is rebased; a NaN.
  Constant lastFinite, notNumber;
};
extern const HalfConstants kHalf;

// Eight finite IEEE halves, widened. Shifted right by 3 with the sign kept, exponent and fraction lie where f32 has its
// own; times 2^112 the exponent's bias is right too. Exact: a subnormal half passes through as a subnormal f32.
inline void widenF16(v128_t packed, f32x4& low, f32x4& high) {
  v128_t upper = wasm_v128_and(wasm_i16x8_shr(packed, 3), splat(&kHalf.signAndMagnitude));
  v128_t lower = wasm_i16x8_shl(packed, 13);
  f32x4 rebias = splat(&kHalf.rebias);
  low = mul(wasm_i16x8_shuffle(lower, upper, 0, 8, 1, 9, 2, 10, 3, 11), rebias);
  high = mul(wasm_i16x8_shuffle(lower, upper, 4, 12, 5, 13, 6, 14, 7, 15), rebias);
}

}  // namespace glimt
