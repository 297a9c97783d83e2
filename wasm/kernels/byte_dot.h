// What the host makes of i32x4.relaxed_dot_i8x16_i7x16_add_s, which multiplies signed bytes by bytes of 7 bits: with bit 7
// set in the second, engines differ.
#pragma once
#include <cstdint>

namespace glimt {

enum class ByteDot : uint32_t {
  // The variant has no such instruction.
  none,
  // Only 7 bits are exact: sums of two products may stop at the ends of 16 bits.
  lowBits,
  // Exact for bytes that count as 0..255 (x86 with AVX-VNNI).
  asUnsigned,
  // Exact for bytes that count as -128..127 (ARM).
  asSigned,
};

ByteDot byteDot();

}  // namespace glimt
