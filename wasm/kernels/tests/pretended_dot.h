// The relaxed products of bytes, as hosts have them that byte_dot.h tells apart.
#pragma once
#include <wasm_simd128.h>

#include "byte_dot.h"

namespace glimt {

// Of the host that is pretended; where only 7 bits are exact, sums of two products stop at the ends of 16 bits.
v128_t pretendedHalves(v128_t a, v128_t b);
v128_t pretendedDot(v128_t a, v128_t b, v128_t sum);

}  // namespace glimt
