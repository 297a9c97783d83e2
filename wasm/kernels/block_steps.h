// Steps of a tile of blocks (block_weights.h), of four columns of 8 rows, as they are in memory or unpacked.
#pragma once
#include "block_constants.h"
#include "block_weights.h"

namespace glimt {
namespace {

// What steps of w are in memory, in runs of kRunSteps: `load` brings piece `piece` of a run's step into registers for 8 rows.
// `kHighShift` is how far to the left the bits of rows 4 .. 7 lie, with those of rows 0 .. 3 below them.

struct ByteSteps {
  static constexpr size_t kRunBytes = 32;
  static constexpr uint32_t kBits = 8, kCols = 4, kRunSteps = 1, kHighShift = 0;
  static constexpr bool kSigned = false;

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    low = wasm_v128_load(run), high = wasm_v128_load(run + 16);
  }
};

struct SignedByteSteps : ByteSteps {
  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    v128_t signs = wasm_v128_load(kTile.signs);
    low = wasm_v128_xor(wasm_v128_load(run), signs), high = wasm_v128_xor(wasm_v128_load(run + 16), signs);
  }
};

struct ByteWordSteps : ByteSteps {
  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    ByteSteps::load<step, piece>(run, low, high);
    v128_t even = wasm_v128_load(kTile.evenBytes);
    low = piece ? wasm_u16x8_shr(low, 8) : wasm_v128_and(low, even);
    high = piece ? wasm_u16x8_shr(high, 8) : wasm_v128_and(high, even);
  }
};

struct NibbleSteps {
  static constexpr size_t kRunBytes = 16;
  static constexpr uint32_t kBits = 4, kCols = 4, kRunSteps = 1, kHighShift = 0;
  static constexpr bool kSigned = false;

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    v128_t both = wasm_v128_load(run), mask = wasm_v128_load(kTile.nibbles);
    low = wasm_v128_and(both, mask), high = wasm_v128_and(wasm_u16x8_shr(both, 4), mask);
  }
};

#ifdef __wasm_relaxed_simd__
// Where all 8 bits of a byte count as unsigned, the high ones are not taken out: sums with whole bytes are those with the low ones
// and 16 times those with the high ones.
struct WholeNibbleSteps : NibbleSteps {
  static constexpr uint32_t kHighShift = 4;

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    high = wasm_v128_load(run), low = wasm_v128_and(high, wasm_v128_load(kTile.nibbles));
  }
};
#endif

struct NibbleWordSteps : NibbleSteps {
  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    v128_t both = wasm_v128_load(run), even = wasm_v128_load(kTile.evenNibbles);
    low = wasm_v128_and(piece ? wasm_u16x8_shr(both, 8) : both, even);
    high = piece ? wasm_u16x8_shr(both, 12) : wasm_v128_and(wasm_u16x8_shr(both, 4), even);
  }
};

// Bits of each byte of a vector, moved to the right and masked; or of each even one, or odd one, in words.
template <bool words, uint32_t piece>
struct Bits {
  const uint8_t* run;

  template <uint32_t shift, uint32_t mask>
  v128_t of(uint32_t vector) const {
    constexpr uint32_t kShift = shift + (words && piece ? 8 : 0);
    v128_t bytes = wasm_v128_load(run + 16 * vector);
    v128_t moved = kShift ? wasm_u16x8_shr(bytes, kShift) : bytes;
    return wasm_v128_and(moved, words ? wasm_v128_load(kMasks.of[mask].words) : wasm_v128_load(kMasks.of[mask].bytes));
  }
};

// Integers of 5 and 6 bits as block_weights.h has them: in a run integer i is that of step i / 2, of rows 0 .. 3 where it
// is even.

template <bool words>
struct FiveBitSteps {
  static constexpr size_t kRunBytes = 80;
  static constexpr uint32_t kBits = 5, kCols = 4, kRunSteps = 4, kHighShift = 0;
  static constexpr bool kSigned = false;

  template <uint32_t piece, uint32_t i>
  static v128_t integer(Bits<words, piece> bits) {
    if constexpr (i < 5) return bits.template of<0, 31>(i);
    if constexpr (i == 5) return wasm_v128_or(bits.template of<5, 7>(0), bits.template of<2, 24>(1));
    if constexpr (i == 6) return wasm_v128_or(bits.template of<5, 7>(2), bits.template of<2, 24>(3));
    v128_t others = wasm_v128_or(bits.template of<4, 8>(1), bits.template of<3, 16>(3));
    return wasm_v128_or(bits.template of<5, 7>(4), others);
  }

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    Bits<words, piece> bits{run};
    low = integer<piece, 2 * step>(bits), high = integer<piece, 2 * step + 1>(bits);
  }
};

template <bool words>
struct SixBitSteps {
  static constexpr size_t kRunBytes = 48;
  static constexpr uint32_t kBits = 6, kCols = 4, kRunSteps = 2, kHighShift = 0;
  static constexpr bool kSigned = false;

  template <uint32_t piece, uint32_t i>
  static v128_t integer(Bits<words, piece> bits) {
    if constexpr (i < 3) return bits.template of<0, 63>(i);
    v128_t others = wasm_v128_or(bits.template of<4, 12>(1), bits.template of<2, 48>(2));
    return wasm_v128_or(bits.template of<6, 3>(0), others);
  }

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    Bits<words, piece> bits{run};
    low = integer<piece, 2 * step>(bits), high = integer<piece, 2 * step + 1>(bits);
  }
};

// Bytes as they are multiplied, or words, of which a step has two columns: with four, more vectors would be loaded at once
// than there are registers beside the sums. Words are as they were (`kSigned`), where no minima stand for what was added.
template <uint32_t bits>
struct UnpackedSteps : ByteSteps {
  static constexpr uint32_t kBits = bits;
};

struct UnpackedWordSteps : ByteSteps {
  static constexpr uint32_t kCols = 2;
  static constexpr bool kSigned = true;
};

}  // namespace
}  // namespace glimt
