#include "block_tile.h"

#include <type_traits>

#include "block_heads.h"
#include "block_steps.h"
#include "block_sums.h"
#include "byte_dot.h"

namespace glimt {
namespace {

constexpr uint32_t kSteps = kBlockCols / 4;

// Keeps what is in memory there: the compiler would rather hold sums of y in registers that V8 does not have.
inline void fence() { asm volatile("" ::: "memory"); }

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
  constexpr size_t kPieces = Steps::kCols / Sums::kCols, kStep = 4 * R;
  constexpr uint32_t kGroupSteps = kBlockCols / Steps::kCols / Head::kGroups;
  // Sums of 16 bits are as many as hold those of a group.
  constexpr uint32_t kNeeded = Sums::kWide ? 1 : (kGroupSteps + mostSteps(Steps::kBits) - 1) / mostSteps(Steps::kBits);
  // Few sums would wait for each other: each is two then, of every other step.
  constexpr uint32_t kChains = R <= 2 || kNeeded == 2 ? 2 : 1;
  // Steps of a turn: whole runs, and one for each chain.
  constexpr uint32_t kTurn = kChains > Steps::kRunSteps ? kChains : Steps::kRunSteps;
  // What sums begin with stands in the panel for weights of one group without minima, unless integers are as they were.
  constexpr bool kBegins = !Head::kMinima && Head::kGroups == 1 && !Steps::kSigned;
  constexpr bool kBeginsFirst = kBegins && Sums::kWide && !Steps::kHighShift;
  // The others begin with products, which spares an addition.
  constexpr bool kProductsFirst = kChains > 1 || !kBeginsFirst;
  // One row has registers for its y.
  constexpr bool kKeepsY = R == 1;
  using PartCodes = std::conditional_t<Head::kCoded, Codes<Head::kGroups == 2>, NoCodes>;
  f32x4 kept[2];
  if constexpr (kKeepsY) kept[0] = load(sums), kept[1] = load(sums + 4);
  auto readY = [&](uint32_t r, uint32_t half) __attribute__((always_inline)) {
    return kKeepsY ? kept[half] : load(sums + r * kTileRows + 4 * half);
  };
  auto writeY = [&](uint32_t r, uint32_t half, f32x4 y) __attribute__((always_inline)) {
    if constexpr (kKeepsY) kept[half] = y;
    else store(sums + r * kTileRows + 4 * half, y);
  };
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
        if constexpr (kBeginsFirst) {
#pragma unroll
          for (uint32_t r = 0; r < R; r++) s[0][r][0] = s[0][r][1] = wasm_v128_load32_splat(panel + 4 * (R + r));
        }
        auto turn = [&](auto isFirst) __attribute__((always_inline)) {
          each<kTurn>([&](auto index) __attribute__((always_inline)) {
            constexpr uint32_t kIndex = index, kChain = kIndex % kChains;
            each<kPieces>([&](auto piece) __attribute__((always_inline)) {
              v128_t low, high;
              Steps::template load<kIndex % Steps::kRunSteps, piece>(w, low, high);
#pragma unroll
              for (uint32_t r = 0; r < R; r++) {
                v128_t factor = wasm_v128_load32_splat(x + piece * kStep + 4 * r);
                if constexpr (isFirst && kIndex < kChains && piece == 0 && !(kBeginsFirst && kChain == 0)) {
                  s[kChain][r][0] = Sums::first(factor, low), s[kChain][r][1] = Sums::first(factor, high);
                } else {
                  s[kChain][r][0] = Sums::add(factor, low, s[kChain][r][0]);
                  s[kChain][r][1] = Sums::add(factor, high, s[kChain][r][1]);
                }
              }
            });
            x += kPieces * kStep;
            if (kIndex % Steps::kRunSteps == Steps::kRunSteps - 1) w += Steps::kRunBytes;
          });
        };
        if constexpr (kProductsFirst) turn(Index<1>());
        // Not unrolled further: all loads of a chain would come before its products.
#pragma nounroll
        for (uint32_t step = kProductsFirst ? kTurn : 0; step < kGroupSteps; step += kTurn) turn(Index<0>());
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
          v128_t total = totals[r][half];
          if constexpr (kBegins && !kBeginsFirst) total = wasm_i32x4_add(total, second);
          if constexpr (Head::kGroups == 2) {
            // 32 was added to each integer: the panel has the sums of both groups.
            v128_t more = wasm_i32x4_dot_i16x8(code.bothGroups(half), second);
            total = wasm_i32x4_sub(total, wasm_i32x4_shl(more, 5));
          }
          f32x4 result = add(readY(r, half), mul(wasm_f32x4_convert_i32x4(total), mul(scales[half], scale)));
          if constexpr (Head::kMinima && Head::kParts == 1) {
            f32x4 minima[2];
            head.minima(minima[0], minima[1]);
            result = add(result, mul(minima[half], second));
          }
          writeY(r, half, result);
          if constexpr (Head::kMinima && Head::kParts > 1) {
            taken[r][half] = add(taken[r][half], mul(code.minima(half), second));
          }
        }
        if constexpr (!kKeepsY) fence();
      }
      panel += R * panelPieceBytes(Sums::kCols == 2);
    }
    if constexpr (Head::kMinima && Head::kParts > 1) {
      f32x4 minima[2];
      head.minima(minima[0], minima[1]);
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
          writeY(r, half, add(readY(r, half), mul(minima[half], taken[r][half])));
        }
      }
    }
    tile = w;
  }
  if constexpr (kKeepsY) store(sums, kept[0]), store(sums + 4, kept[1]);
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
  // Of words the number that was added to them is taken away again, where no minima stand for it and panels have its sum.
  constexpr bool kSigned = kPieces == 2 && !Head::kMinima && Head::kGroups == 1;
  v128_t offset = wasm_i16x8_splat(1 << (Steps::kBits - 1));
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
            if constexpr (kSigned) some = wasm_i16x8_sub(some, offset), others = wasm_i16x8_sub(others, offset);
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
  return cols / kBlockCols * 2 * sizeof(float) * kTileRows + cols / UnpackedWordSteps::kCols * UnpackedWordSteps::kRunBytes;
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
