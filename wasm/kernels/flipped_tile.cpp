#include "flipped_tile.h"

#ifdef __wasm_relaxed_simd__
#include "block_constants.h"
#include "block_heads.h"

namespace glimt {
namespace {

constexpr uint32_t kSteps = kBlockCols / 4;
constexpr size_t kStepBytes = 4 * kTileRows;
constexpr size_t kPieceBytes = panelPieceBytes(BlockScheme::flippedPairs);

// Keeps what is in memory there, as in block_tile.cpp.
inline void fence() { asm volatile("" ::: "memory"); }

// The numbers of a panel's block, which has `R` rows.
template <uint32_t R>
struct PanelBlock {
  const uint8_t* at;

  f32x4 scale(uint32_t r) const { return splat((const float*)at + r); }
  v128_t begin(uint32_t r) const { return wasm_v128_load32_splat(at + 4 * (R + r)); }
  const uint8_t* flips(uint32_t r) const { return at + 4 * (2 * R + r); }
  const uint8_t* steps(uint32_t r) const { return at + 4 * (4 * R + r); }
};
// Of the flips of four steps, and of a step.
template <uint32_t R>
constexpr size_t kFoursBytes = 4 * R;
template <uint32_t R>
constexpr size_t kPanelStep = 8 * R;

inline v128_t addPairs(v128_t magnitudes, v128_t w, v128_t factors, v128_t sum) {
  return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16(w, magnitudes), factors));
}

inline f32x4 addBlock(f32x4 y, v128_t total, f32x4 scale) { return add(y, mul(wasm_f32x4_convert_i32x4(total), scale)); }

template <uint32_t R>
void multiplyStored(const uint8_t* panel, const uint8_t* tile, size_t, uint32_t cols, float* sums) {
  for (uint32_t blocks = cols / kBlockCols; blocks; blocks--) {
    PanelBlock<R> block{panel};
    ScaleHead head(tile);
    const uint8_t *w = tile + ScaleHead::kBytes, *flips = block.flips(0), *x = block.steps(0);
    v128_t s[R][2];
#pragma unroll
    for (uint32_t r = 0; r < R; r++) s[r][0] = s[r][1] = block.begin(r);
#pragma nounroll
    for (uint32_t four = 0; four < kSteps / 4; four++) {
#pragma nounroll
      for (uint32_t step = 0; step < 4; step++) {
        v128_t low = wasm_v128_load(w), high = wasm_v128_load(w + 16);
#pragma unroll
        for (uint32_t r = 0; r < R; r++) {
          v128_t flip = wasm_v128_load((const uint8_t*)&kPairFlips + flips[4 * r]);
          v128_t magnitudes = wasm_v128_load32_splat(x + 4 * r), factors = wasm_v128_load32_splat(x + 4 * (R + r));
          s[r][0] = addPairs(magnitudes, wasm_v128_xor(low, flip), factors, s[r][0]);
          s[r][1] = addPairs(magnitudes, wasm_v128_xor(high, flip), factors, s[r][1]);
        }
        x += kPanelStep<R>, w += kStepBytes, flips++;
      }
      flips += kFoursBytes<R> - 4;
    }
    f32x4 scales[2];
    head.scales(scales[0], scales[1]);
#pragma unroll
    for (uint32_t r = 0; r < R; r++) {
      f32x4 scale = block.scale(r);
#pragma unroll
      for (uint32_t half = 0; half < 2; half++) {
        float* y = sums + r * kTileRows + 4 * half;
        store(y, addBlock(load(y), s[r][half], mul(scales[half], scale)));
      }
      fence();
    }
    panel += R * kPieceBytes, tile = w;
  }
}

template <uint32_t T>
void multiplyRow(const uint8_t* panel, const uint8_t* tiles, size_t tileBytes, uint32_t cols, float* sums) {
  for (uint32_t blocks = cols / kBlockCols; blocks; blocks--, panel += kPieceBytes) {
    PanelBlock<1> block{panel};
    const uint8_t *head = tiles, *flips = block.flips(0), *x = block.steps(0);
    tiles += ScaleHead::kBytes;
    v128_t s[T][2], begin = block.begin(0);
#pragma unroll
    for (uint32_t t = 0; t < T; t++) s[t][0] = s[t][1] = begin;
#pragma nounroll
    for (uint32_t step = 0; step < kSteps; step++) {
      v128_t flip = wasm_v128_load((const uint8_t*)&kPairFlips + *flips++);
      v128_t magnitudes = wasm_v128_load32_splat(x), factors = wasm_v128_load32_splat(x + 4);
      const uint8_t* w = tiles;
#pragma unroll
      for (uint32_t t = 0; t < T; t++, w += tileBytes) {
        s[t][0] = addPairs(magnitudes, wasm_v128_xor(wasm_v128_load(w), flip), factors, s[t][0]);
        s[t][1] = addPairs(magnitudes, wasm_v128_xor(wasm_v128_load(w + 16), flip), factors, s[t][1]);
      }
      x += kPanelStep<1>, tiles += kStepBytes;
    }
    f32x4 scale = block.scale(0);
#pragma unroll
    for (uint32_t t = 0; t < T; t++, head += tileBytes) {
      f32x4 scales[2];
      ScaleHead(head).scales(scales[0], scales[1]);
#pragma unroll
      for (uint32_t half = 0; half < 2; half++) {
        float* y = sums + t * kTileRows + 4 * half;
        store(y, addBlock(load(y), s[t][half], mul(scales[half], scale)));
      }
      fence();
    }
  }
}

template <uint32_t T>
void multiplyTable(const uint8_t* rows, size_t rowBytes, uint32_t count, const uint8_t* table, uint32_t blocks, float* sums) {
  constexpr uint32_t kHalves = 2 * T;
  constexpr size_t kStride = T * kFlips * kStepBytes;
  // Where those of half h are, in a step.
  constexpr auto kPlace = [](uint32_t h) { return h / 2 * kFlips * kStepBytes + 16 * (h % 2); };
  for (; count; count--, rows += rowBytes, sums += T * kTileRows) {
    const uint8_t *panel = rows, *w = table;
    size_t next = count > 1 ? rowBytes : 0;
    for (uint32_t left = blocks; left; left--, panel += kPieceBytes) {
      // Rows lie apart: nobody else asks for the next one before it is needed.
      touch(panel + next), touch(panel + next + kPieceBytes - 1);
      PanelBlock<1> block{panel};
      const uint8_t *scales = w, *flips = block.flips(0), *x = block.steps(0);
      w += sizeof(float) * T * kTileRows;
      v128_t s[kHalves], begin = block.begin(0);
#pragma unroll
      for (uint32_t h = 0; h < kHalves; h++) s[h] = begin;
      // Two steps a turn: V8 unrolls a loop of at most four turns. Of more steps all loads would come before the products.
#pragma nounroll
      for (uint32_t first = 0; first < kSteps; first += 2) {
#pragma unroll
        for (uint32_t step = 0; step < 2; step++) {
          const uint8_t *flipped = w + flips[step], *xStep = x + step * kPanelStep<1>;
          v128_t magnitudes = wasm_v128_load32_splat(xStep), factors = wasm_v128_load32_splat(xStep + 4);
#pragma unroll
          for (uint32_t h = 0; h < kHalves; h++) {
            s[h] = addPairs(magnitudes, wasm_v128_load(flipped + step * kStride + kPlace(h)), factors, s[h]);
          }
        }
        flips += 2, x += 2 * kPanelStep<1>, w += 2 * kStride;
      }
      f32x4 scale = block.scale(0);
#pragma unroll
      for (uint32_t h = 0; h < kHalves; h++) {
        store(sums + 4 * h, addBlock(load(sums + 4 * h), s[h], mul(load((const float*)scales + 4 * h), scale)));
      }
      fence();
    }
  }
}

}  // namespace

BlockProduct flippedProduct(uint32_t rows, uint32_t tiles) {
  if (tiles > 1) return multiplyRow<tilesAtOnce(1)>;
  constexpr BlockProduct products[kDirectRows] = {multiplyRow<1>, multiplyStored<2>, multiplyStored<3>, multiplyStored<4>};
  return products[rows - 1];
}

void fillTable(const uint8_t* tile, uint32_t blocks, uint32_t tiles, uint32_t place, uint8_t* table) {
  for (; blocks; blocks--, table += tableBlockBytes(tiles)) {
    f32x4 low, high;
    ScaleHead(tile).scales(low, high);
    float* scales = (float*)table + place * kTileRows;
    store(scales, low), store(scales + 4, high);
    tile += ScaleHead::kBytes;
    uint8_t* to = table + tiles * kTileRows * sizeof(float) + place * kFlips * kStepBytes;
    for (uint32_t step = 0; step < kSteps; step++, tile += kStepBytes, to += tiles * kFlips * kStepBytes) {
      v128_t some = wasm_v128_load(tile), others = wasm_v128_load(tile + 16);
#pragma unroll
      for (uint32_t flip = 0; flip < kFlips; flip++) {
        v128_t bits = wasm_v128_load(kPairFlips.of[flip].bytes);
        wasm_v128_store(to + flip * kStepBytes, wasm_v128_xor(some, bits));
        wasm_v128_store(to + flip * kStepBytes + 16, wasm_v128_xor(others, bits));
      }
    }
  }
}

TableProduct tableProduct(uint32_t tiles) {
  constexpr TableProduct products[kTableTiles] = {multiplyTable<1>, multiplyTable<2>, multiplyTable<3>, multiplyTable<4>};
  return products[tiles - 1];
}

}  // namespace glimt
#endif
