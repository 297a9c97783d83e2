#include "block_tile.h"

#include <type_traits>
#include <utility>

#include "block_heads.h"
#include "block_steps.h"
#include "block_sums.h"
#include "byte_dot.h"
#include "flipped_tile.h"

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

// Heads of T tiles.
template <class Head, class Indices>
struct Heads;
template <class Head, size_t... I>
struct Heads<Head, std::index_sequence<I...>> {
  Head of[sizeof...(I)];

  Heads(const uint8_t* tiles, size_t tileBytes) : of{Head(tiles + I * tileBytes)...} {}
};

// A panel of R rows against T tiles, which are tileBytes apart.
template <class Sums, class Head, class Steps, uint32_t R, uint32_t T>
void multiplyTiles(const uint8_t* panel, const uint8_t* tiles, size_t tileBytes, uint32_t cols, float* sums) {
  constexpr size_t kPieces = Steps::kCols / Sums::kCols, kStep = 4 * R;
  constexpr uint32_t kGroupSteps = kBlockCols / Steps::kCols / Head::kGroups;
  // Sums of 16 bits that it takes to hold those of a group.
  constexpr uint32_t kNeeded = Sums::kWide ? 1 : (kGroupSteps + mostSteps(Steps::kBits) - 1) / mostSteps(Steps::kBits);
  // Few sums would wait for each other: each is two then, of every other step.
  constexpr uint32_t kChains = R * T <= 2 ? 2 : 1;
  // Pieces of a group, whose sums 16 bits hold: where there are more of those than chains.
  constexpr uint32_t kCuts = kNeeded > kChains ? kNeeded : 1, kCutSteps = kGroupSteps / kCuts;
  // Steps of a turn: whole runs, and one for each chain.
  constexpr uint32_t kAtOnce = Head::kGroups * kCuts == 1 ? Sums::kStepsAtOnce : 1, kLeastTurn = kChains > kAtOnce ? kChains : kAtOnce;
  constexpr uint32_t kTurn = kLeastTurn > Steps::kRunSteps ? kLeastTurn : Steps::kRunSteps;
  // What sums begin with stands in the panel for weights of one group without minima, unless integers are as they were.
  constexpr bool kBegins = !Head::kMinima && Head::kGroups == 1 && !Steps::kSigned;
  constexpr bool kBeginsFirst = kBegins && Sums::kWide && !Steps::kHighShift;
  // The others begin with products, which spares an addition.
  constexpr bool kProductsFirst = kChains > 1 || !kBeginsFirst;
  // One row of a tile has registers for its y.
  constexpr bool kKeepsY = R * T == 1;
  // What several tiles meet stays in registers.
  constexpr bool kKeepsX = T > 1;
  using PartCodes = std::conditional_t<Head::kCoded, Codes<Head::kGroups == 2>, NoCodes>;
  f32x4 kept[2];
  if constexpr (kKeepsY) kept[0] = load(sums), kept[1] = load(sums + 4);
  auto placeOf = [&](uint32_t r, uint32_t t, uint32_t half) { return sums + (r * T + t) * kTileRows + 4 * half; };
  auto readY = [&](uint32_t r, uint32_t t, uint32_t half) __attribute__((always_inline)) {
    return kKeepsY ? kept[half] : load(placeOf(r, t, half));
  };
  auto writeY = [&](uint32_t r, uint32_t t, uint32_t half, f32x4 y) __attribute__((always_inline)) {
    if constexpr (kKeepsY) kept[half] = y;
    else store(placeOf(r, t, half), y);
  };
  for (uint32_t blocks = cols / (kBlockCols * Head::kParts); blocks; blocks--) {
    Heads<Head, std::make_index_sequence<T>> heads(tiles, tileBytes);
    const uint8_t* w = tiles + Head::kBytes;
    f32x4 taken[R][T][2];
    if constexpr (Head::kMinima && Head::kParts > 1) {
#pragma unroll
      for (uint32_t i = 0; i < R * T; i++) taken[i / T][i % T][0] = taken[i / T][i % T][1] = zero();
    }
#pragma nounroll
    for (uint32_t part = 0; part < Head::kParts; part++) {
      v128_t totals[R][T][2];
      const uint8_t* x = panel + 8 * R;
      const uint8_t* codes[T] = {};
      if constexpr (Head::kCoded) {
#pragma unroll
        for (uint32_t t = 0; t < T; t++) codes[t] = heads.of[t].codesOf(part, w + t * tileBytes);
      }
      w += Head::kPartBytes;
      each<Head::kGroups * kCuts>([&](auto cut) __attribute__((always_inline)) {
        constexpr uint32_t kGroup = cut / kCuts;
        v128_t s[kChains][R][T][2];
        if constexpr (kBeginsFirst) {
#pragma unroll
          for (uint32_t r = 0; r < R; r++) {
            v128_t begin = wasm_v128_load32_splat(panel + 4 * (R + r));
#pragma unroll
            for (uint32_t t = 0; t < T; t++) s[0][r][t][0] = s[0][r][t][1] = begin;
          }
        }
        auto turn = [&](auto isFirst) __attribute__((always_inline)) {
          each<kTurn>([&](auto index) __attribute__((always_inline)) {
            constexpr uint32_t kIndex = index, kChain = kIndex % kChains;
            each<kPieces>([&](auto piece) __attribute__((always_inline)) {
              auto factorOf = [&](uint32_t r) { return wasm_v128_load32_splat(x + piece * kStep + 4 * r); };
              v128_t factors[R];
#pragma unroll
              for (uint32_t r = 0; kKeepsX && r < R; r++) factors[r] = factorOf(r);
#pragma unroll
              for (uint32_t t = 0; t < T; t++) {
                v128_t low, high;
                Steps::template load<kIndex % Steps::kRunSteps, piece>(w + t * tileBytes, low, high);
#pragma unroll
                for (uint32_t r = 0; r < R; r++) {
                  v128_t factor = kKeepsX ? factors[r] : factorOf(r);
                  v128_t(&sum)[2] = s[kChain][r][t];
                  if constexpr (isFirst && kIndex < kChains && piece == 0 && !(kBeginsFirst && kChain == 0)) {
                    sum[0] = Sums::first(factor, low), sum[1] = Sums::first(factor, high);
                  } else {
                    sum[0] = Sums::add(factor, low, sum[0]), sum[1] = Sums::add(factor, high, sum[1]);
                  }
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
        for (uint32_t step = kProductsFirst ? kTurn : 0; step < kCutSteps; step += kTurn) turn(Index<0>());
#pragma unroll
        for (uint32_t t = 0; t < T; t++) {
          PartCodes code(codes[t]);
          v128_t lows[R];
#pragma unroll
          for (uint32_t half = 0; half < 2; half++) {
            v128_t factor = wasm_v128_load(kTile.ones);
            if constexpr (Head::kCoded) factor = Sums::kWide ? code.wide(kGroup, half) : code.twice(kGroup, half);
#pragma unroll
            for (uint32_t r = 0; r < R; r++) {
              v128_t sum = s[0][r][t][half];
              if constexpr (Sums::kWide) {
#pragma unroll
                for (uint32_t chain = 1; chain < kChains; chain++) sum = wasm_i32x4_add(sum, s[chain][r][t][half]);
                if (half == 0) lows[r] = sum;
                else if (Steps::kHighShift) sum = wasm_i32x4_shr(wasm_i32x4_sub(sum, lows[r]), Steps::kHighShift);
                if constexpr (Head::kCoded) sum = wasm_i32x4_mul(sum, factor);
              } else if constexpr (kChains == 1 || kNeeded == 1) {
#pragma unroll
                for (uint32_t chain = 1; chain < kChains; chain++) sum = wasm_i16x8_add(sum, s[chain][r][t][half]);
                sum = wasm_i32x4_dot_i16x8(sum, factor);
              } else {
                sum = wasm_i32x4_add(wasm_i32x4_dot_i16x8(sum, factor), wasm_i32x4_dot_i16x8(s[1][r][t][half], factor));
              }
              totals[r][t][half] = cut == 0 ? sum : wasm_i32x4_add(totals[r][t][half], sum);
            }
          }
        }
      });
#pragma unroll
      for (uint32_t t = 0; t < T; t++) {
        const Head& head = heads.of[t];
        PartCodes code(codes[t]);
        f32x4 scales[2];
        head.scales(scales[0], scales[1]);
#pragma unroll
        for (uint32_t r = 0; r < R; r++) {
          f32x4 scale = splat((const float*)panel + r), second = splat((const float*)panel + R + r);
#pragma unroll
          for (uint32_t half = 0; half < 2; half++) {
            v128_t total = totals[r][t][half];
            if constexpr (kBegins && !kBeginsFirst) total = wasm_i32x4_add(total, second);
            if constexpr (Head::kGroups == 2) {
              // 32 was added to each integer: the panel has the sums of both groups.
              v128_t more = wasm_i32x4_dot_i16x8(code.bothGroups(half), second);
              total = wasm_i32x4_sub(total, wasm_i32x4_shl(more, 5));
            }
            f32x4 result = add(readY(r, t, half), mul(wasm_f32x4_convert_i32x4(total), mul(scales[half], scale)));
            if constexpr (Head::kMinima && Head::kParts == 1) {
              f32x4 minima[2];
              head.minima(minima[0], minima[1]);
              result = add(result, mul(minima[half], second));
            }
            writeY(r, t, half, result);
            if constexpr (Head::kMinima && Head::kParts > 1) {
              taken[r][t][half] = add(taken[r][t][half], mul(code.minima(half), second));
            }
          }
          if constexpr (!kKeepsY) fence();
        }
      }
      panel += R * panelPieceBytes(Sums::kCols == 2 ? BlockScheme::words : BlockScheme::unsignedBytes);
    }
    if constexpr (Head::kMinima && Head::kParts > 1) {
#pragma unroll
      for (uint32_t i = 0; i < R * T; i++) {
        f32x4 minima[2];
        heads.of[i % T].minima(minima[0], minima[1]);
#pragma unroll
        for (uint32_t half = 0; half < 2; half++) {
          writeY(i / T, i % T, half, add(readY(i / T, i % T, half), mul(minima[half], taken[i / T][i % T][half])));
        }
      }
    }
    tiles = w;
  }
  if constexpr (kKeepsY) store(sums, kept[0]), store(sums + 4, kept[1]);
}

template <class Sums, class Head, class Steps>
BlockProduct directOf(uint32_t rows, uint32_t tiles) {
  if (tiles > 1) {
    if (rows == 1) return multiplyTiles<Sums, Head, Steps, 1, tilesAtOnce(1)>;
    // Of formats with codes there is none.
    if constexpr (!Head::kCoded) return multiplyTiles<Sums, Head, Steps, 2, tilesAtOnce(2)>;
  }
  constexpr BlockProduct products[kDirectRows] = {
      multiplyTiles<Sums, Head, Steps, 1, 1>,
      multiplyTiles<Sums, Head, Steps, 2, 1>,
      multiplyTiles<Sums, Head, Steps, 3, 1>,
      multiplyTiles<Sums, Head, Steps, 4, 1>,
  };
  return products[rows - 1];
}

template <class Sums, class Head, class Steps>
BlockProduct unpackedOf(uint32_t rows) {
  constexpr uint32_t kLeast = Sums::kMostRows == 4 ? 3 : 4;
  constexpr BlockProduct products[] = {
      multiplyTiles<Sums, Head, Steps, kLeast, 1>,
      multiplyTiles<Sums, Head, Steps, kLeast + 1, 1>,
      multiplyTiles<Sums, Head, Steps, Sums::kMostRows, 1>,
  };
  return products[rows - kLeast];
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

uint32_t directTiles(DType dtype, uint32_t rows) {
  bool isFlipped = blockScheme(dtype) == BlockScheme::flippedPairs, isCoded = blockCols(dtype) > kBlockCols;
  return rows > 1 && (isFlipped || isCoded) ? 1 : tilesAtOnce(rows);
}

BlockProduct directProduct(DType dtype, uint32_t rows, uint32_t tiles) {
  return forFormat(dtype, [=]<class Head, class Steps, class WordSteps>() {
#ifdef __wasm_relaxed_simd__
    BlockScheme scheme = blockScheme(dtype);
    if constexpr (Steps::kBits == 8) {
      if (scheme == BlockScheme::signedBytes) return directOf<Bytes, Head, SignedByteSteps>(rows, tiles);
      if (scheme == BlockScheme::flippedPairs) return flippedProduct(rows, tiles);
    } else {
      if (scheme == BlockScheme::halves) return directOf<Halves, Head, Steps>(rows, tiles);
    }
    if constexpr (Steps::kBits == 4) {
      if (byteDot() == ByteDot::asUnsigned) return directOf<Bytes, Head, WholeNibbleSteps>(rows, tiles);
    }
    return directOf<Bytes, Head, Steps>(rows, tiles);
#else
    return directOf<Words, Head, WordSteps>(rows, tiles);
#endif
  });
}

size_t unpackedBytes(uint32_t cols) {
  // In words, with two numbers a row.
  return cols / kBlockCols * 2 * sizeof(float) * kTileRows + cols / UnpackedWordSteps::kCols * UnpackedWordSteps::kRunBytes;
}

void unpackTile(const uint8_t* w, DType dtype, uint32_t cols, uint8_t* unpacked) {
  forFormat(dtype, [=]<class Head, class Steps, class WordSteps>() {
#ifdef __wasm_relaxed_simd__
    if constexpr (Steps::kBits == 8) {
      bool isSigned = blockScheme(dtype) == BlockScheme::signedBytes;
      if (isSigned) return unpackBlocks<Head, SignedByteSteps, 1>(w, cols, unpacked);
    }
    unpackBlocks<Head, Steps, 1>(w, cols, unpacked);
#else
    unpackBlocks<Head, WordSteps, 2>(w, cols, unpacked);
#endif
  });
}

uint32_t unpackedRows(DType dtype) {
#ifdef __wasm_relaxed_simd__
  switch (blockScheme(dtype)) {
    case BlockScheme::flippedPairs: return 1;
    case BlockScheme::halves: return Halves::kMostRows;
    default: return Bytes::kMostRows;
  }
#else
  (void)dtype;
  return Words::kMostRows;
#endif
}

BlockProduct unpackedProduct(DType dtype, uint32_t rows) {
  return forFormat(dtype, [=]<class Packed, class Steps, class>() {
    using Head = Unpacked<Packed>;
#ifdef __wasm_relaxed_simd__
    BlockScheme scheme = blockScheme(dtype);
    if (scheme == BlockScheme::halves) {
      // Of 6 bits sums of 16 hold two steps, which is not worth it.
      using Sums = std::conditional_t<mostSteps(Steps::kBits) >= 4, Halves, Pairs>;
      return unpackedOf<Sums, Head, UnpackedSteps<Steps::kBits>>(rows);
    }
    return unpackedOf<Bytes, Head, UnpackedSteps<8>>(rows);
#else
    return unpackedOf<Words, Head, UnpackedWordSteps>(rows);
#endif
  });
}

}  // namespace glimt
