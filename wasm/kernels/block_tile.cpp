#include "block_tile.h"

namespace glimt {
namespace {

struct TileConstants {
  alignas(16) uint8_t nibbles[16];
  alignas(16) uint16_t evenBytes[8], evenNibbles[8], ones[8];
  alignas(16) uint8_t signs[16];
};
const TileConstants kTile = {
    {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15},
    {255, 255, 255, 255, 255, 255, 255, 255},
    {15, 15, 15, 15, 15, 15, 15, 15},
    {1, 1, 1, 1, 1, 1, 1, 1},
    {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128},
};

constexpr uint32_t kSteps = kBlockCols / 4;

// Keeps what is in memory there: the compiler would rather hold sums of y in registers that V8 does not have.
inline void fence() { asm volatile("" ::: "memory"); }

// How products are summed. `begin` is what a panel says sums begin with; `shift` is how far to the left the bits of
// the integers of w lie.

#ifdef __wasm_relaxed_simd__
struct Bytes {
  static constexpr uint32_t kPieces = 1, kMostRows = kPanelRows;

  static v128_t first(v128_t begin, uint32_t shift) { return shift ? zero() : begin; }
  static v128_t add(v128_t x, v128_t w, v128_t sum) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, w, sum); }
  static v128_t join(v128_t a, v128_t b) { return wasm_i32x4_add(a, b); }
  static v128_t last(v128_t sum, v128_t begin, uint32_t shift) {
    return shift ? wasm_i32x4_add(wasm_i32x4_shr(sum, shift), begin) : sum;
  }
};

struct Halves {
  // A product that is not added as it is made takes a register.
  static constexpr uint32_t kPieces = 1, kMostRows = kPanelRows - 1;

  static v128_t first(v128_t, uint32_t) { return zero(); }
  static v128_t add(v128_t x, v128_t w, v128_t sum) {
    return wasm_i16x8_add(sum, wasm_i16x8_relaxed_dot_i8x16_i7x16(x, w));
  }
  static v128_t join(v128_t a, v128_t b) { return wasm_i16x8_add(a, b); }
  static v128_t last(v128_t sum, v128_t begin, uint32_t) {
    return wasm_i32x4_add(wasm_i32x4_dot_i16x8(sum, wasm_v128_load(kTile.ones)), begin);
  }
};
#endif

struct Words {
  static constexpr uint32_t kPieces = 2, kMostRows = kPanelRows - 1;

  static v128_t first(v128_t begin, uint32_t) { return begin; }
  static v128_t add(v128_t x, v128_t w, v128_t sum) { return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(x, w)); }
  static v128_t join(v128_t a, v128_t b) { return wasm_i32x4_add(a, b); }
  static v128_t last(v128_t sum, v128_t, uint32_t) { return sum; }
};

// What a step of w is in memory, and how `piece` of it comes into registers for 8 rows.

struct StoredScales {
  static constexpr size_t kScaleBytes = kTileScaleBytes;

  static void scales(const uint8_t* w, f32x4& low, f32x4& high) { widenF16(wasm_v128_load(w), low, high); }
};

struct StoredBytes : StoredScales {
  static constexpr size_t kStepBytes = 32;
  static constexpr uint32_t kHighShift = 0;

  static void load(const uint8_t* w, uint32_t, v128_t& low, v128_t& high) {
    low = wasm_v128_load(w), high = wasm_v128_load(w + 16);
  }
};

struct StoredSignedBytes : StoredBytes {
  static void load(const uint8_t* w, uint32_t, v128_t& low, v128_t& high) {
    v128_t signs = wasm_v128_load(kTile.signs);
    low = wasm_v128_xor(wasm_v128_load(w), signs), high = wasm_v128_xor(wasm_v128_load(w + 16), signs);
  }
};

struct StoredByteWords : StoredBytes {
  static void load(const uint8_t* w, uint32_t piece, v128_t& low, v128_t& high) {
    StoredBytes::load(w, piece, low, high);
    v128_t even = wasm_v128_load(kTile.evenBytes);
    low = piece ? wasm_u16x8_shr(low, 8) : wasm_v128_and(low, even);
    high = piece ? wasm_u16x8_shr(high, 8) : wasm_v128_and(high, even);
  }
};

struct StoredNibbles : StoredScales {
  static constexpr size_t kStepBytes = 16;
  static constexpr uint32_t kHighShift = 0;

  static void load(const uint8_t* w, uint32_t, v128_t& low, v128_t& high) {
    v128_t both = wasm_v128_load(w), mask = wasm_v128_load(kTile.nibbles);
    low = wasm_v128_and(both, mask), high = wasm_v128_and(wasm_u16x8_shr(both, 4), mask);
  }
};

#ifdef __wasm_relaxed_simd__
// The high ones stay where they are, where all 8 bits of a byte count as unsigned.
struct StoredShiftedNibbles : StoredNibbles {
  static constexpr uint32_t kHighShift = 4;

  static void load(const uint8_t* w, uint32_t, v128_t& low, v128_t& high) {
    v128_t both = wasm_v128_load(w);
    low = wasm_v128_and(both, wasm_v128_load(kTile.nibbles)), high = wasm_v128_xor(both, low);
  }
};
#endif

struct StoredNibbleWords : StoredNibbles {
  static void load(const uint8_t* w, uint32_t piece, v128_t& low, v128_t& high) {
    v128_t both = wasm_v128_load(w), even = wasm_v128_load(kTile.evenNibbles);
    low = wasm_v128_and(piece ? wasm_u16x8_shr(both, 8) : both, even);
    high = piece ? wasm_u16x8_shr(both, 12) : wasm_v128_and(wasm_u16x8_shr(both, 4), even);
  }
};

struct Unpacked {
  static constexpr size_t kScaleBytes = kTileRows * sizeof(float), kStepBytes = 32;
  static constexpr uint32_t kHighShift = 0;

  static void scales(const uint8_t* w, f32x4& low, f32x4& high) {
    low = wasm_v128_load(w), high = wasm_v128_load(w + 16);
  }
  static void load(const uint8_t* w, uint32_t, v128_t& low, v128_t& high) {
    low = wasm_v128_load(w), high = wasm_v128_load(w + 16);
  }
};

struct UnpackedWords : Unpacked {
  static constexpr size_t kStepBytes = 64;

  static void load(const uint8_t* w, uint32_t piece, v128_t& low, v128_t& high) {
    Unpacked::load(w + 32 * piece, piece, low, high);
  }
};

template <class Sums, class Stored, uint32_t R>
void multiplyTile(const uint8_t* panel, const uint8_t* tile, uint32_t blocks, float* sums) {
  constexpr size_t kPieces = Sums::kPieces, kStep = 4 * R;
  // Few sums would wait for each other: each is two then, of every other step.
  constexpr uint32_t kChains = R <= 2 ? 2 : 1;
  for (; blocks; blocks--) {
    v128_t s[kChains][R][2];
#pragma unroll
    for (uint32_t r = 0; r < R; r++) {
      v128_t begin = wasm_v128_load32_splat(panel + 4 * (R + r));
      s[0][r][0] = Sums::first(begin, 0), s[0][r][1] = Sums::first(begin, Stored::kHighShift);
#pragma unroll
      for (uint32_t chain = 1; chain < kChains; chain++) s[chain][r][0] = s[chain][r][1] = zero();
    }
    const uint8_t *x = panel + 8 * R, *w = tile + Stored::kScaleBytes;
    // Not unrolled further: all loads of a chain would come before its products.
#pragma nounroll
    for (uint32_t step = 0; step < kSteps; step += kChains) {
#pragma unroll
      for (uint32_t chain = 0; chain < kChains; chain++, x += kPieces * kStep, w += Stored::kStepBytes) {
#pragma unroll
        for (uint32_t piece = 0; piece < kPieces; piece++) {
          v128_t low, high;
          Stored::load(w, piece, low, high);
#pragma unroll
          for (uint32_t r = 0; r < R; r++) {
            v128_t factor = wasm_v128_load32_splat(x + piece * kStep + 4 * r);
            s[chain][r][0] = Sums::add(factor, low, s[chain][r][0]);
            s[chain][r][1] = Sums::add(factor, high, s[chain][r][1]);
          }
        }
      }
    }
    f32x4 scales[2];
    Stored::scales(tile, scales[0], scales[1]);
#pragma unroll
    for (uint32_t r = 0; r < R; r++) {
      f32x4 scale = splat((const float*)panel + r);
      v128_t begin = wasm_v128_load32_splat(panel + 4 * (R + r));
#pragma unroll
      for (uint32_t half = 0; half < 2; half++) {
        float* y = sums + r * kTileRows + 4 * half;
        v128_t sum = s[0][r][half];
#pragma unroll
        for (uint32_t chain = 1; chain < kChains; chain++) sum = Sums::join(sum, s[chain][r][half]);
        sum = Sums::last(sum, begin, half ? Stored::kHighShift : 0);
        store(y, add(load(y), mul(wasm_f32x4_convert_i32x4(sum), mul(scales[half], scale))));
      }
      fence();
    }
    panel += R * blockRowBytes(kPieces == 2 ? BlockScheme::words : BlockScheme::unsignedBytes, kBlockCols);
    tile += Stored::kScaleBytes + kSteps * Stored::kStepBytes;
  }
}

template <class Sums, class Stored>
BlockProduct directOf(uint32_t rows) {
  constexpr BlockProduct products[kDirectRows] = {
      multiplyTile<Sums, Stored, 1>,
      multiplyTile<Sums, Stored, 2>,
      multiplyTile<Sums, Stored, 3>,
      multiplyTile<Sums, Stored, 4>,
  };
  return products[rows - 1];
}

template <class Sums, class Stored>
BlockProduct unpackedOf(uint32_t rows) {
  constexpr BlockProduct products[kPanelRows] = {
      multiplyTile<Sums, Stored, 1>, multiplyTile<Sums, Stored, 2>, multiplyTile<Sums, Stored, 3>,
      multiplyTile<Sums, Stored, 4>, multiplyTile<Sums, Stored, 5>, multiplyTile<Sums, Stored, Sums::kMostRows>,
  };
  return products[rows - 1];
}

// The integers of a block.
template <class Stored>
void unpackSteps(const uint8_t* w, uint32_t pieces, uint8_t* to) {
  for (uint32_t i = 0; i < kSteps; i++, w += Stored::kStepBytes) {
    for (uint32_t piece = 0; piece < pieces; piece++, to += 32) {
      v128_t low, high;
      Stored::load(w, piece, low, high);
      wasm_v128_store(to, low), wasm_v128_store(to + 16, high);
    }
  }
}

void unpackBlock(const uint8_t* w, DType dtype, BlockScheme scheme, uint8_t* to) {
  if (scheme == BlockScheme::words) {
    return dtype == DType::q4 ? unpackSteps<StoredNibbleWords>(w, 2, to) : unpackSteps<StoredByteWords>(w, 2, to);
  }
  if (dtype == DType::q4) return unpackSteps<StoredNibbles>(w, 1, to);
  if (scheme == BlockScheme::signedBytes) return unpackSteps<StoredSignedBytes>(w, 1, to);
  unpackSteps<StoredBytes>(w, 1, to);
}

}  // namespace

BlockProduct directProduct(DType dtype, uint32_t rows) {
  bool q4 = dtype == DType::q4;
#ifdef __wasm_relaxed_simd__
  switch (blockScheme(dtype)) {
    case BlockScheme::unsignedBytes:
      return q4 ? directOf<Bytes, StoredShiftedNibbles>(rows) : directOf<Bytes, StoredBytes>(rows);
    case BlockScheme::signedBytes:
      return q4 ? directOf<Bytes, StoredNibbles>(rows) : directOf<Bytes, StoredSignedBytes>(rows);
    case BlockScheme::halves: return directOf<Halves, StoredNibbles>(rows);
    case BlockScheme::words: break;
  }
#endif
  return q4 ? directOf<Words, StoredNibbleWords>(rows) : directOf<Words, StoredByteWords>(rows);
}

size_t unpackedBytes(BlockScheme scheme, uint32_t blocks) {
  size_t steps = kSteps * (scheme == BlockScheme::words ? UnpackedWords::kStepBytes : Unpacked::kStepBytes);
  return blocks * (Unpacked::kScaleBytes + steps);
}

void unpackTile(const uint8_t* w, DType dtype, uint32_t blocks, uint8_t* unpacked) {
  BlockScheme scheme = blockScheme(dtype);
  for (; blocks; blocks--, w += tileBlockBytes(dtype), unpacked += unpackedBytes(scheme, 1)) {
    f32x4 low, high;
    StoredScales::scales(w, low, high);
    store((float*)unpacked, low), store((float*)unpacked + 4, high);
    unpackBlock(w + kTileScaleBytes, dtype, scheme, unpacked + Unpacked::kScaleBytes);
  }
}

uint32_t unpackedRows(BlockScheme scheme) {
#ifdef __wasm_relaxed_simd__
  if (scheme != BlockScheme::words) return scheme == BlockScheme::halves ? Halves::kMostRows : Bytes::kMostRows;
#endif
  (void)scheme;
  return Words::kMostRows;
}

BlockProduct unpackedProduct(BlockScheme scheme, uint32_t rows) {
#ifdef __wasm_relaxed_simd__
  if (scheme == BlockScheme::halves) return unpackedOf<Halves, Unpacked>(rows);
  if (scheme != BlockScheme::words) return unpackedOf<Bytes, Unpacked>(rows);
#endif
  (void)scheme;
  return unpackedOf<Words, UnpackedWords>(rows);
}

}  // namespace glimt
