// What a tile of blocks has before its steps: scales, minima and their codes, and how they come into registers for 8 rows.
#pragma once
#include "block_constants.h"
#include "block_steps.h"

namespace glimt {
namespace {

// Codes of the groups of 32 columns, of 8 rows: of one group scale codes, then minimum codes; of two groups scale codes.
// They are read as words of 16 bits twice, for sums of such; as words of 32 bits; and those of two groups side by side.
template <bool twoGroups>
struct Codes {
  static constexpr size_t kBytes = 16;
  v128_t first, second;

  explicit Codes(const uint8_t* codes) {
    v128_t bytes = wasm_v128_load(codes);
    first = twoGroups ? wasm_i16x8_extend_low_i8x16(bytes) : wasm_u16x8_extend_low_u8x16(bytes);
    second = twoGroups ? wasm_i16x8_extend_high_i8x16(bytes) : wasm_u16x8_extend_high_u8x16(bytes);
  }
  static v128_t join(v128_t a, v128_t b, uint32_t half) {
    return half ? wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
                : wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  }
  v128_t twice(uint32_t group, uint32_t half) const {
    v128_t codes = group ? second : first;
    return join(codes, codes, half);
  }
  v128_t wide(uint32_t group, uint32_t half) const {
    v128_t codes = group ? second : first;
    return half ? wasm_i32x4_extend_high_i16x8(codes) : wasm_i32x4_extend_low_i16x8(codes);
  }
  v128_t bothGroups(uint32_t half) const { return join(first, second, half); }
  f32x4 minima(uint32_t half) const {
    v128_t wide = half ? wasm_u32x4_extend_high_u16x8(second) : wasm_u32x4_extend_low_u16x8(second);
    return wasm_f32x4_convert_i32x4(wide);
  }
};

// What a block has before its steps, of 8 rows: scales and minima in f16, and codes for each part of 32 columns.

struct ScaleHead {
  static constexpr size_t kBytes = kTileRows * sizeof(uint16_t), kPartBytes = 0;
  static constexpr uint32_t kParts = 1, kGroups = 1;
  static constexpr bool kMinima = false, kCoded = false;

  const uint8_t* head;

  explicit ScaleHead(const uint8_t* w) : head(w) {}
  void scales(f32x4& low, f32x4& high) const { widenF16(wasm_v128_load(head), low, high); }
};

struct MinimumHead : ScaleHead {
  static constexpr size_t kBytes = 2 * ScaleHead::kBytes;
  static constexpr bool kMinima = true;

  using ScaleHead::ScaleHead;
  void minima(f32x4& low, f32x4& high) const { widenF16(wasm_v128_load(head + ScaleHead::kBytes), low, high); }
};

// Scales are widened once for all parts.
template <class Plain>
struct WidenedHead : Plain {
  f32x4 scale[2];

  explicit WidenedHead(const uint8_t* w) : Plain(w) { Plain::scales(scale[0], scale[1]); }
  void scales(f32x4& low, f32x4& high) const { low = scale[0], high = scale[1]; }
};

// Codes of six bits, which lie as integers of six bits do.
struct CodedHead : WidenedHead<MinimumHead> {
  using CodeSteps = SixBitSteps<false>;
  static constexpr size_t kBytes = MinimumHead::kBytes + 2 * CodeSteps::kRunBytes;
  static constexpr uint32_t kParts = 8;
  static constexpr bool kCoded = true;

  alignas(16) uint8_t codes[kParts][16];

  explicit CodedHead(const uint8_t* w) : WidenedHead(w) {
    w += MinimumHead::kBytes;
#pragma nounroll
    for (uint32_t part = 0; part < kParts; part += 4, w += CodeSteps::kRunBytes) {
      v128_t of[4];
      CodeSteps::load<0, 0>(w, of[0], of[1]);
      CodeSteps::load<1, 0>(w, of[2], of[3]);
#pragma unroll
      for (uint32_t i = 0; i < 4; i++) wasm_v128_store(codes[part + i], of[i]);
    }
  }
  void minima(f32x4& low, f32x4& high) const {
    MinimumHead::minima(low, high);
    low = wasm_f32x4_neg(low), high = wasm_f32x4_neg(high);
  }
  const uint8_t* codesOf(uint32_t part, const uint8_t*) const { return codes[part]; }
};

struct SignedCodedHead : WidenedHead<ScaleHead> {
  static constexpr uint32_t kParts = 8, kGroups = 2;
  static constexpr size_t kBytes = ScaleHead::kBytes + kParts * Codes<true>::kBytes;
  static constexpr bool kCoded = true;

  using WidenedHead::WidenedHead;
  const uint8_t* codesOf(uint32_t part, const uint8_t*) const {
    return head + ScaleHead::kBytes + part * Codes<true>::kBytes;
  }
};

template <uint32_t parts, uint32_t groups, bool hasMinima, bool isCoded>
struct UnpackedHead {
  static constexpr uint32_t kParts = parts, kGroups = groups;
  static constexpr bool kMinima = hasMinima, kCoded = isCoded;
  static constexpr size_t kBytes = kTileRows * sizeof(float) * (kMinima ? 2 : 1), kPartBytes = kCoded ? 16 : 0;

  const float* head;

  explicit UnpackedHead(const uint8_t* w) : head((const float*)w) {}
  void scales(f32x4& low, f32x4& high) const { low = load(head), high = load(head + 4); }
  void minima(f32x4& low, f32x4& high) const { low = load(head + kTileRows), high = load(head + kTileRows + 4); }
  const uint8_t* codesOf(uint32_t, const uint8_t* w) const { return w; }
};

}  // namespace
}  // namespace glimt
