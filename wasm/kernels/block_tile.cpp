#include "block_tile.h"

#include <type_traits>

#include "block_constants.h"
#include "byte_dot.h"

namespace glimt {
namespace {

constexpr uint32_t kSteps = kBlockCols / 4;

// Keeps what is in memory there: the compiler would rather hold sums of y in registers that V8 does not have.
inline void fence() { asm volatile("" ::: "memory"); }

// How products are summed: in lanes of 32 bits where `kWide`, of 16 otherwise, which hold those of so many steps.

constexpr uint32_t mostSteps(uint32_t bits) { return bits == 4 ? 8 : bits == 5 ? 4 : 2; }

#ifdef __wasm_relaxed_simd__
struct Bytes {
  static constexpr uint32_t kPieces = 1, kMostRows = kPanelRows;
  static constexpr bool kWide = true;

  static v128_t add(v128_t x, v128_t w, v128_t sum) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, w, sum); }
};

// Where that is several instructions.
struct Pairs {
  // A product that is not added as it is made takes a register.
  static constexpr uint32_t kPieces = 1, kMostRows = kPanelRows - 1;
  static constexpr bool kWide = true;

  static v128_t add(v128_t x, v128_t w, v128_t sum) {
    v128_t pairs = wasm_i16x8_relaxed_dot_i8x16_i7x16(x, w);
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(pairs, wasm_v128_load(kTile.ones)));
  }
};

struct Halves {
  static constexpr uint32_t kPieces = 1, kMostRows = kPanelRows - 1;
  static constexpr bool kWide = false;

  static v128_t add(v128_t x, v128_t w, v128_t sum) {
    return wasm_i16x8_add(sum, wasm_i16x8_relaxed_dot_i8x16_i7x16(x, w));
  }
};
#endif

struct Words {
  static constexpr uint32_t kPieces = 2, kMostRows = kPanelRows - 1;
  static constexpr bool kWide = true;

  static v128_t add(v128_t x, v128_t w, v128_t sum) { return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(x, w)); }
};

// What steps of w are in memory, in runs of kRunSteps: `load` brings piece `piece` of a run's step into registers for 8 rows.
// `kHighShift` is how far to the left the bits of rows 4 .. 7 lie.

struct ByteSteps {
  static constexpr size_t kRunBytes = 32;
  static constexpr uint32_t kBits = 8, kRunSteps = 1, kHighShift = 0;

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
  static constexpr uint32_t kBits = 4, kRunSteps = 1, kHighShift = 0;

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    v128_t both = wasm_v128_load(run), mask = wasm_v128_load(kTile.nibbles);
    low = wasm_v128_and(both, mask), high = wasm_v128_and(wasm_u16x8_shr(both, 4), mask);
  }
};

#ifdef __wasm_relaxed_simd__
// The high ones stay where they are, where all 8 bits of a byte count as unsigned.
struct ShiftedNibbleSteps : NibbleSteps {
  static constexpr uint32_t kHighShift = 4;

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    v128_t both = wasm_v128_load(run);
    low = wasm_v128_and(both, wasm_v128_load(kTile.nibbles)), high = wasm_v128_xor(both, low);
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
  static constexpr uint32_t kBits = 5, kRunSteps = 4, kHighShift = 0;

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
  static constexpr uint32_t kBits = 6, kRunSteps = 2, kHighShift = 0;

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

// Bytes as they are multiplied, or words.
struct UnpackedSteps {
  static constexpr size_t kRunBytes = 32;
  static constexpr uint32_t kBits = 4, kRunSteps = 1, kHighShift = 0;

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    low = wasm_v128_load(run), high = wasm_v128_load(run + 16);
  }
};

struct UnpackedWordSteps : UnpackedSteps {
  static constexpr size_t kRunBytes = 2 * UnpackedSteps::kRunBytes;

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    UnpackedSteps::load<0, piece>(run + UnpackedSteps::kRunBytes * piece, low, high);
  }
};

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

template <class Packed>
using Unpacked = UnpackedHead<Packed::kParts, Packed::kGroups, Packed::kMinima, Packed::kCoded>;

template <uint32_t value>
struct Index {
  constexpr operator uint32_t() const { return value; }
};

// Calls visit(i) with each i of 0 .. N - 1 as a constant.
template <uint32_t N, uint32_t I = 0, class Visit>
__attribute__((always_inline)) inline void each(const Visit& visit) {
  if constexpr (I < N) {
    visit(Index<I>());
    each<N, I + 1>(visit);
  }
}

// Stands in where there are no codes.
struct NoCodes {
  explicit NoCodes(const uint8_t*) {}
};

template <class Sums, class Head, class Steps, uint32_t R>
void multiplyTile(const uint8_t* panel, const uint8_t* tile, uint32_t cols, float* sums) {
  constexpr size_t kPieces = Sums::kPieces, kStep = 4 * R;
  constexpr uint32_t kGroupSteps = kSteps / Head::kGroups;
  // Sums of 16 bits are as many as hold those of a group.
  constexpr uint32_t kNeeded = Sums::kWide ? 1 : (kGroupSteps + mostSteps(Steps::kBits) - 1) / mostSteps(Steps::kBits);
  // Few sums would wait for each other: each is two then, of every other step.
  constexpr uint32_t kChains = R <= 2 || kNeeded == 2 ? 2 : 1;
  // Steps of a turn: whole runs, and one for each chain.
  constexpr uint32_t kTurn = kChains > Steps::kRunSteps ? kChains : Steps::kRunSteps;
  // What sums begin with stands in the panel for weights of one group without minima.
  constexpr bool kBegins = !Head::kMinima && Head::kGroups == 1, kBeginsFirst = kBegins && Sums::kWide && !Steps::kHighShift;
  using PartCodes = std::conditional_t<Head::kCoded, Codes<Head::kGroups == 2>, NoCodes>;
  for (uint32_t blocks = cols / (kBlockCols * Head::kParts); blocks; blocks--) {
    Head head(tile);
    const uint8_t* w = tile + Head::kBytes;
    f32x4 taken[R][2];
    if constexpr (Head::kMinima && Head::kParts > 1) {
#pragma unroll
      for (uint32_t r = 0; r < R; r++) taken[r][0] = taken[r][1] = zero();
    }
#pragma nounroll
    for (uint32_t part = 0; part < Head::kParts; part++) {
      v128_t totals[R][2];
      const uint8_t* x = panel + 8 * R;
      const uint8_t* codes = nullptr;
      if constexpr (Head::kCoded) codes = head.codesOf(part, w);
      w += Head::kPartBytes;
      each<Head::kGroups>([&](auto group) __attribute__((always_inline)) {
        v128_t s[kChains][R][2];
#pragma unroll
        for (uint32_t r = 0; r < R; r++) {
          s[0][r][0] = s[0][r][1] = kBeginsFirst ? wasm_v128_load32_splat(panel + 4 * (R + r)) : zero();
#pragma unroll
          for (uint32_t chain = 1; chain < kChains; chain++) s[chain][r][0] = s[chain][r][1] = zero();
        }
        // Not unrolled further: all loads of a chain would come before its products.
#pragma nounroll
        for (uint32_t step = 0; step < kGroupSteps; step += kTurn) {
          each<kTurn>([&](auto index) __attribute__((always_inline)) {
            constexpr uint32_t kIndex = index, kChain = kIndex % kChains;
            each<kPieces>([&](auto piece) __attribute__((always_inline)) {
              v128_t low, high;
              Steps::template load<kIndex % Steps::kRunSteps, piece>(w, low, high);
#pragma unroll
              for (uint32_t r = 0; r < R; r++) {
                v128_t factor = wasm_v128_load32_splat(x + piece * kStep + 4 * r);
                s[kChain][r][0] = Sums::add(factor, low, s[kChain][r][0]);
                s[kChain][r][1] = Sums::add(factor, high, s[kChain][r][1]);
              }
            });
            x += kPieces * kStep;
            if (kIndex % Steps::kRunSteps == Steps::kRunSteps - 1) w += Steps::kRunBytes;
          });
        }
        PartCodes code(codes);
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
          v128_t factor = wasm_v128_load(kTile.ones);
          if constexpr (Head::kCoded) factor = Sums::kWide ? code.wide(group, half) : code.twice(group, half);
#pragma unroll
          for (uint32_t r = 0; r < R; r++) {
            v128_t sum = s[0][r][half];
            if constexpr (Sums::kWide) {
#pragma unroll
              for (uint32_t chain = 1; chain < kChains; chain++) sum = wasm_i32x4_add(sum, s[chain][r][half]);
              if (Steps::kHighShift && half) sum = wasm_i32x4_shr(sum, Steps::kHighShift);
              if constexpr (Head::kCoded) sum = wasm_i32x4_mul(sum, factor);
            } else if constexpr (kNeeded == 1) {
#pragma unroll
              for (uint32_t chain = 1; chain < kChains; chain++) sum = wasm_i16x8_add(sum, s[chain][r][half]);
              sum = wasm_i32x4_dot_i16x8(sum, factor);
            } else {
              sum = wasm_i32x4_add(wasm_i32x4_dot_i16x8(sum, factor), wasm_i32x4_dot_i16x8(s[1][r][half], factor));
            }
            totals[r][half] = group == 0 ? sum : wasm_i32x4_add(totals[r][half], sum);
          }
        }
      });
      PartCodes code(codes);
      f32x4 scales[2];
      head.scales(scales[0], scales[1]);
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
        f32x4 scale = splat((const float*)panel + r), second = splat((const float*)panel + R + r);
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
          float* y = sums + r * kTileRows + 4 * half;
          v128_t total = totals[r][half];
          if constexpr (kBegins && !kBeginsFirst) total = wasm_i32x4_add(total, second);
          if constexpr (Head::kGroups == 2) {
            // 32 was added to each integer: the panel has the sums of both groups.
            v128_t more = wasm_i32x4_dot_i16x8(code.bothGroups(half), second);
            total = wasm_i32x4_sub(total, wasm_i32x4_shl(more, 5));
          }
          f32x4 result = add(load(y), mul(wasm_f32x4_convert_i32x4(total), mul(scales[half], scale)));
          if constexpr (Head::kMinima && Head::kParts == 1) {
            f32x4 minima[2];
            head.minima(minima[0], minima[1]);
            result = add(result, mul(minima[half], second));
          }
          store(y, result);
          if constexpr (Head::kMinima && Head::kParts > 1) {
            taken[r][half] = add(taken[r][half], mul(code.minima(half), second));
          }
        }
        fence();
      }
      panel += R * panelPieceBytes(kPieces == 2);
    }
    if constexpr (Head::kMinima && Head::kParts > 1) {
      f32x4 minima[2];
      head.minima(minima[0], minima[1]);
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
          float* y = sums + r * kTileRows + 4 * half;
          store(y, add(load(y), mul(minima[half], taken[r][half])));
        }
      }
    }
    tile = w;
  }
}

template <class Sums, class Head, class Steps>
BlockProduct directOf(uint32_t rows) {
  constexpr BlockProduct products[kDirectRows] = {
      multiplyTile<Sums, Head, Steps, 1>,
      multiplyTile<Sums, Head, Steps, 2>,
      multiplyTile<Sums, Head, Steps, 3>,
      multiplyTile<Sums, Head, Steps, 4>,
  };
  return products[rows - 1];
}

template <class Sums, class Head, class Steps>
BlockProduct unpackedOf(uint32_t rows) {
  constexpr BlockProduct products[] = {
      multiplyTile<Sums, Head, Steps, kLeastUnpackedRows>,
      multiplyTile<Sums, Head, Steps, kLeastUnpackedRows + 1>,
      multiplyTile<Sums, Head, Steps, Sums::kMostRows>,
  };
  return products[rows - kLeastUnpackedRows];
}

// A tile's blocks, each with what it needs before it.
template <class Head, class Steps, uint32_t kPieces>
void unpackBlocks(const uint8_t* w, uint32_t cols, uint8_t* to) {
  auto put = [&](v128_t low, v128_t high) {
    wasm_v128_store(to, low), wasm_v128_store(to + 16, high);
    to += 32;
  };
  for (uint32_t blocks = cols / (kBlockCols * Head::kParts); blocks; blocks--) {
    Head head(w);
    w += Head::kBytes;
    f32x4 low, high;
    head.scales(low, high);
    put(low, high);
    if constexpr (Head::kMinima) {
      head.minima(low, high);
      put(low, high);
    }
    for (uint32_t part = 0; part < Head::kParts; part++) {
      if constexpr (Head::kCoded) {
        wasm_v128_store(to, wasm_v128_load(head.codesOf(part, w)));
        to += 16;
      }
      for (uint32_t step = 0; step < kSteps; step += Steps::kRunSteps, w += Steps::kRunBytes) {
        each<Steps::kRunSteps>([&](auto index) {
          each<kPieces>([&](auto piece) {
            v128_t some, others;
            Steps::template load<index, piece>(w, some, others);
            put(some, others);
          });
        });
      }
    }
  }
}

// What is done with a format, given its head, and its steps as bytes and as words.
template <class Action>
auto forFormat(DType dtype, Action action) {
  switch (dtype) {
    case DType::q4: return action.template operator()<ScaleHead, NibbleSteps, NibbleWordSteps>();
    case DType::q4_1: return action.template operator()<MinimumHead, NibbleSteps, NibbleWordSteps>();
    case DType::q5_0: return action.template operator()<ScaleHead, FiveBitSteps<false>, FiveBitSteps<true>>();
    case DType::q5_1: return action.template operator()<MinimumHead, FiveBitSteps<false>, FiveBitSteps<true>>();
    case DType::q4_k: return action.template operator()<CodedHead, NibbleSteps, NibbleWordSteps>();
    case DType::q5_k: return action.template operator()<CodedHead, FiveBitSteps<false>, FiveBitSteps<true>>();
    case DType::q6_k: return action.template operator()<SignedCodedHead, SixBitSteps<false>, SixBitSteps<true>>();
    default: return action.template operator()<ScaleHead, ByteSteps, ByteWordSteps>();
  }
}

}  // namespace

BlockProduct directProduct(DType dtype, uint32_t rows) {
  return forFormat(dtype, [=]<class Head, class Steps, class WordSteps>() {
#ifdef __wasm_relaxed_simd__
    BlockScheme scheme = blockScheme(dtype);
    if constexpr (Steps::kBits == 8) {
      if (scheme == BlockScheme::signedBytes) return directOf<Bytes, Head, SignedByteSteps>(rows);
      if (scheme == BlockScheme::words) return directOf<Words, Head, WordSteps>(rows);
    } else {
      if (scheme == BlockScheme::halves) return directOf<Halves, Head, Steps>(rows);
    }
    if constexpr (Steps::kBits == 4) {
      if (byteDot() == ByteDot::asUnsigned) return directOf<Bytes, Head, ShiftedNibbleSteps>(rows);
    }
    return directOf<Bytes, Head, Steps>(rows);
#else
    return directOf<Words, Head, WordSteps>(rows);
#endif
  });
}

size_t unpackedBytes(uint32_t cols) {
  // In words, with two numbers a row.
  return cols / kBlockCols * (2 * sizeof(float) * kTileRows + kSteps * UnpackedWordSteps::kRunBytes);
}

void unpackTile(const uint8_t* w, DType dtype, uint32_t cols, uint8_t* unpacked) {
  BlockScheme scheme = blockScheme(dtype);
  forFormat(dtype, [=]<class Head, class Steps, class WordSteps>() {
    if (scheme == BlockScheme::words) return unpackBlocks<Head, WordSteps, 2>(w, cols, unpacked);
    if constexpr (Steps::kBits == 8) {
      if (scheme == BlockScheme::signedBytes) return unpackBlocks<Head, SignedByteSteps, 1>(w, cols, unpacked);
    }
    unpackBlocks<Head, Steps, 1>(w, cols, unpacked);
  });
}

uint32_t unpackedRows(DType dtype) {
#ifdef __wasm_relaxed_simd__
  BlockScheme scheme = blockScheme(dtype);
  if (scheme != BlockScheme::words) return scheme == BlockScheme::halves ? Halves::kMostRows : Bytes::kMostRows;
#endif
  (void)dtype;
  return Words::kMostRows;
}

BlockProduct unpackedProduct(DType dtype, uint32_t rows) {
  return forFormat(dtype, [=]<class Packed, class Steps, class>() {
    using Head = Unpacked<Packed>;
#ifdef __wasm_relaxed_simd__
    BlockScheme scheme = blockScheme(dtype);
    if (scheme == BlockScheme::halves) {
      using Sums = std::conditional_t<Steps::kBits == 4, Halves, Pairs>;
      return unpackedOf<Sums, Head, UnpackedSteps>(rows);
    }
    if constexpr (Steps::kBits == 8) {
      if (scheme == BlockScheme::words) return unpackedOf<Words, Head, UnpackedWordSteps>(rows);
    }
    return unpackedOf<Bytes, Head, UnpackedSteps>(rows);
#else
    return unpackedOf<Words, Head, UnpackedWordSteps>(rows);
#endif
  });
}

}  // namespace glimt
