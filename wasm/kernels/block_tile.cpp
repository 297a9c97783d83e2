#include "block_tile.h"

#include "byte_dot.h"

namespace glimt {
namespace {

struct TileConstants {
  alignas(16) uint8_t nibbles[16];
  alignas(16) uint16_t evenBytes[8], evenNibbles[8], ones[8];
  alignas(16) uint8_t signs[16];
  // The fifth bit of each byte, and the fifth and sixth; of each even byte.
  alignas(16) uint8_t fifth[16], fifthAndSixth[16];
  alignas(16) uint16_t evenFifth[8], evenFifthAndSixth[8];
};
const TileConstants kTile = {
    {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15},
    {255, 255, 255, 255, 255, 255, 255, 255},
    {15, 15, 15, 15, 15, 15, 15, 15},
    {1, 1, 1, 1, 1, 1, 1, 1},
    {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128},
    {16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16},
    {48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48},
    {16, 16, 16, 16, 16, 16, 16, 16},
    {48, 48, 48, 48, 48, 48, 48, 48},
};

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

// What steps of w are in memory, in runs of kRunSteps: `load` brings piece `piece` of a run's step into registers for 8 rows.

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

template <int32_t left>
v128_t shifted(v128_t words) {
  if constexpr (left > 0) return wasm_i16x8_shl(words, left);
  if constexpr (left < 0) return wasm_u16x8_shr(words, -left);
  return words;
}

// Integers of more than four bits: what is above four lies before the steps that share it, lowest bits first: of each step
// that of a row, then of the row four below.
template <uint32_t kHighBits>
struct LongSteps {
  static constexpr uint32_t kBits = 4 + kHighBits, kRunSteps = 4 / kHighBits, kHighShift = 0;
  static constexpr size_t kRunBytes = 16 * (1 + kRunSteps);

  // How far to the left the high bits of a step must move to be above the low ones.
  static constexpr int32_t moved(uint32_t step, bool below) { return 4 - (int32_t)(kHighBits * (2 * step + below)); }

  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    NibbleSteps::load<0, 0>(run + 16 * (1 + step), low, high);
    v128_t bits = wasm_v128_load(run), mask = wasm_v128_load(kHighBits == 1 ? kTile.fifth : kTile.fifthAndSixth);
    low = wasm_v128_or(low, wasm_v128_and(shifted<moved(step, false)>(bits), mask));
    high = wasm_v128_or(high, wasm_v128_and(shifted<moved(step, true)>(bits), mask));
  }
};

template <uint32_t kHighBits>
struct LongWordSteps : LongSteps<kHighBits> {
  template <uint32_t step, uint32_t piece>
  static void load(const uint8_t* run, v128_t& low, v128_t& high) {
    using Steps = LongSteps<kHighBits>;
    NibbleWordSteps::load<0, piece>(run + 16 * (1 + step), low, high);
    v128_t bits = wasm_v128_load(run);
    v128_t mask = wasm_v128_load(kHighBits == 1 ? kTile.evenFifth : kTile.evenFifthAndSixth);
    constexpr int32_t kOdd = piece ? 8 : 0;
    low = wasm_v128_or(low, wasm_v128_and(shifted<Steps::moved(step, false) - kOdd>(bits), mask));
    high = wasm_v128_or(high, wasm_v128_and(shifted<Steps::moved(step, true) - kOdd>(bits), mask));
  }
};

// Bytes as they are multiplied, or words.
struct UnpackedSteps {
  static constexpr size_t kRunBytes = 32;
  static constexpr uint32_t kRunSteps = 1, kHighShift = 0;

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

// What a block has before its steps: of each of its groups the scales of 8 rows, and their minima. An object reads it for
// the groups of one block.

struct ScaleHead {
  static constexpr size_t kBytes = kTileRows * sizeof(uint16_t);
  static constexpr uint32_t kGroups = 1, kSteps = 8;
  static constexpr bool kMinima = false;

  const uint8_t* head;

  explicit ScaleHead(const uint8_t* w) : head(w) {}
  void scales(uint32_t, f32x4& low, f32x4& high) const { widenF16(wasm_v128_load(head), low, high); }
};

struct MinimumHead : ScaleHead {
  static constexpr size_t kBytes = 2 * ScaleHead::kBytes;
  static constexpr bool kMinima = true;

  using ScaleHead::ScaleHead;
  void minima(uint32_t, f32x4& low, f32x4& high) const {
    widenF16(wasm_v128_load(head + ScaleHead::kBytes), low, high);
  }
};

// Of 8 bytes, which are signed or not, times numbers.
struct Coded {
  template <bool isSigned>
  static void store(v128_t words, f32x4 low, f32x4 high, float* to) {
    v128_t first = isSigned ? wasm_i32x4_extend_low_i16x8(words) : wasm_u32x4_extend_low_u16x8(words);
    v128_t second = isSigned ? wasm_i32x4_extend_high_i16x8(words) : wasm_u32x4_extend_high_u16x8(words);
    glimt::store(to, mul(wasm_f32x4_convert_i32x4(first), low));
    glimt::store(to + 4, mul(wasm_f32x4_convert_i32x4(second), high));
  }
};

// Eight groups with codes of six bits.
struct CodedHead {
  using CodeSteps = LongSteps<2>;
  static constexpr uint32_t kGroups = 8, kSteps = 8;
  static constexpr size_t kBytes = 2 * ScaleHead::kBytes + 2 * CodeSteps::kRunBytes;
  static constexpr bool kMinima = true;

  // By groups.
  alignas(16) float factors[kGroups][kTileRows], least[kGroups][kTileRows];

  explicit CodedHead(const uint8_t* w) {
    f32x4 scale[2], minimum[2];
    widenF16(wasm_v128_load(w), scale[0], scale[1]);
    widenF16(wasm_v128_load(w + ScaleHead::kBytes), minimum[0], minimum[1]);
    minimum[0] = wasm_f32x4_neg(minimum[0]), minimum[1] = wasm_f32x4_neg(minimum[1]);
    w += 2 * ScaleHead::kBytes;
#pragma nounroll
    for (uint32_t g = 0; g < kGroups; g += 4, w += CodeSteps::kRunBytes) {
      v128_t codes[4];
      CodeSteps::load<0, 0>(w, codes[0], codes[1]);
      CodeSteps::load<1, 0>(w, codes[2], codes[3]);
#pragma unroll
      for (uint32_t i = 0; i < 4; i++) {
        Coded::store<false>(wasm_u16x8_extend_low_u8x16(codes[i]), scale[0], scale[1], factors[g + i]);
        Coded::store<false>(wasm_u16x8_extend_high_u8x16(codes[i]), minimum[0], minimum[1], least[g + i]);
      }
    }
  }
  void scales(uint32_t g, f32x4& low, f32x4& high) const { low = load(factors[g]), high = load(factors[g] + 4); }
  void minima(uint32_t g, f32x4& low, f32x4& high) const { low = load(least[g]), high = load(least[g] + 4); }
};

// Sixteen groups with codes of eight bits.
struct SignedCodedHead {
  static constexpr uint32_t kGroups = 16, kSteps = 4;
  static constexpr size_t kBytes = ScaleHead::kBytes + kGroups * kTileRows;
  static constexpr bool kMinima = false;

  alignas(16) float factors[kGroups][kTileRows];

  explicit SignedCodedHead(const uint8_t* w) {
    f32x4 low, high;
    widenF16(wasm_v128_load(w), low, high);
    w += ScaleHead::kBytes;
#pragma nounroll
    for (uint32_t g = 0; g < kGroups; g++, w += kTileRows) {
      Coded::store<true>(wasm_i16x8_load8x8(w), low, high, factors[g]);
    }
  }
  void scales(uint32_t g, f32x4& low, f32x4& high) const { low = load(factors[g]), high = load(factors[g] + 4); }
};

template <uint32_t steps, bool minima_>
struct UnpackedHead {
  static constexpr uint32_t kGroups = 1, kSteps = steps;
  static constexpr bool kMinima = minima_;
  static constexpr size_t kBytes = kTileRows * sizeof(float) * (kMinima ? 2 : 1);

  const float* head;

  explicit UnpackedHead(const uint8_t* w) : head((const float*)w) {}
  void scales(uint32_t, f32x4& low, f32x4& high) const { low = load(head), high = load(head + 4); }
  void minima(uint32_t, f32x4& low, f32x4& high) const {
    low = load(head + kTileRows), high = load(head + kTileRows + 4);
  }
};

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

template <class Sums, class Head, class Steps, uint32_t R>
void multiplyTile(const uint8_t* panel, const uint8_t* tile, uint32_t cols, float* sums) {
  constexpr size_t kPieces = Sums::kPieces, kStep = 4 * R;
  // Few sums would wait for each other: each is two then, of every other step.
  constexpr uint32_t kChains = R <= 2 ? 2 : 1;
  // Steps of a turn: whole runs, and one for each chain.
  constexpr uint32_t kTurn = kChains > Steps::kRunSteps ? kChains : Steps::kRunSteps;
  for (uint32_t blocks = cols / (4 * Head::kSteps * Head::kGroups); blocks; blocks--) {
    Head head(tile);
    const uint8_t* w = tile + Head::kBytes;
    for (uint32_t group = 0; group < Head::kGroups; group++) {
      v128_t s[kChains][R][2];
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
        v128_t begin = Head::kMinima ? zero() : wasm_v128_load32_splat(panel + 4 * (R + r));
        s[0][r][0] = Sums::first(begin, 0), s[0][r][1] = Sums::first(begin, Steps::kHighShift);
#pragma unroll
        for (uint32_t chain = 1; chain < kChains; chain++) s[chain][r][0] = s[chain][r][1] = zero();
      }
      const uint8_t* x = panel + 8 * R;
      // Not unrolled further: all loads of a chain would come before its products.
#pragma nounroll
      for (uint32_t step = 0; step < Head::kSteps; step += kTurn) {
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
      f32x4 scales[2], minima[2];
      head.scales(group, scales[0], scales[1]);
      if constexpr (Head::kMinima) head.minima(group, minima[0], minima[1]);
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
        f32x4 scale = splat((const float*)panel + r), second = splat((const float*)panel + R + r);
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
          float* y = sums + r * kTileRows + 4 * half;
          v128_t sum = s[0][r][half];
#pragma unroll
          for (uint32_t chain = 1; chain < kChains; chain++) sum = Sums::join(sum, s[chain][r][half]);
          sum = Sums::last(sum, Head::kMinima ? zero() : second, half ? Steps::kHighShift : 0);
          f32x4 result = add(load(y), mul(wasm_f32x4_convert_i32x4(sum), mul(scales[half], scale)));
          if constexpr (Head::kMinima) result = add(result, mul(minima[half], second));
          store(y, result);
        }
        fence();
      }
      panel += R * panelPieceBytes(kPieces == 2, 4 * Head::kSteps);
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
  constexpr BlockProduct products[kPanelRows] = {
      multiplyTile<Sums, Head, Steps, 1>, multiplyTile<Sums, Head, Steps, 2>,
      multiplyTile<Sums, Head, Steps, 3>, multiplyTile<Sums, Head, Steps, 4>,
      multiplyTile<Sums, Head, Steps, 5>, multiplyTile<Sums, Head, Steps, Sums::kMostRows>,
  };
  return products[rows - 1];
}

// A tile's blocks, each group of columns with what it needs before it.
template <class Head, class Steps, uint32_t kPieces>
void unpackBlocks(const uint8_t* w, uint32_t cols, uint8_t* to) {
  for (uint32_t blocks = cols / (4 * Head::kSteps * Head::kGroups); blocks; blocks--) {
    Head head(w);
    w += Head::kBytes;
    for (uint32_t group = 0; group < Head::kGroups; group++) {
      f32x4 low, high;
      head.scales(group, low, high);
      wasm_v128_store(to, low), wasm_v128_store(to + 16, high);
      to += 32;
      if constexpr (Head::kMinima) {
        head.minima(group, low, high);
        wasm_v128_store(to, low), wasm_v128_store(to + 16, high);
        to += 32;
      }
      for (uint32_t step = 0; step < Head::kSteps; step += Steps::kRunSteps, w += Steps::kRunBytes) {
        each<Steps::kRunSteps>([&](auto index) {
          each<kPieces>([&](auto piece) {
            v128_t some, others;
            Steps::template load<index, piece>(w, some, others);
            wasm_v128_store(to, some), wasm_v128_store(to + 16, others);
            to += 32;
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
    case DType::q5_0: return action.template operator()<ScaleHead, LongSteps<1>, LongWordSteps<1>>();
    case DType::q5_1: return action.template operator()<MinimumHead, LongSteps<1>, LongWordSteps<1>>();
    case DType::q4_k: return action.template operator()<CodedHead, NibbleSteps, NibbleWordSteps>();
    case DType::q5_k: return action.template operator()<CodedHead, LongSteps<1>, LongWordSteps<1>>();
    case DType::q6_k: return action.template operator()<SignedCodedHead, LongSteps<2>, LongWordSteps<2>>();
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
    }
    if constexpr (Steps::kBits == 4) {
      if (scheme == BlockScheme::halves) return directOf<Halves, Head, Steps>(rows);
      if (byteDot() == ByteDot::asUnsigned) return directOf<Bytes, Head, ShiftedNibbleSteps>(rows);
    }
    return directOf<Bytes, Head, Steps>(rows);
#else
    return directOf<Words, Head, WordSteps>(rows);
#endif
  });
}

size_t unpackedBytes(uint32_t cols) {
  // In words, with two numbers for each group of 32 columns, or one for each of 16.
  return cols / kBlockCols * (2 * sizeof(float) * kTileRows + 8 * UnpackedWordSteps::kRunBytes);
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
  return forFormat(dtype, [=]<class Packed, class, class>() {
    using Head = UnpackedHead<Packed::kSteps, Packed::kMinima>;
#ifdef __wasm_relaxed_simd__
    BlockScheme scheme = blockScheme(dtype);
    if constexpr (Head::kSteps == 8) {
      if (scheme == BlockScheme::halves) return unpackedOf<Halves, Head, UnpackedSteps>(rows);
    }
    if (scheme != BlockScheme::words) return unpackedOf<Bytes, Head, UnpackedSteps>(rows);
#endif
    return unpackedOf<Words, Head, UnpackedWordSteps>(rows);
  });
}

}  // namespace glimt
