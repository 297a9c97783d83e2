// The register tile of tile.h, for each type of weight: values are widened in registers.
#include "tile.h"

namespace glimt {
namespace {

// The lower half of each word of 32 bits of bf16 patterns is shifted, and the upper one is a mask away: that takes other pipes
// of the processor than interleaving with zeros, which few rows would wait for. So sums of bf16 are of rows 0, 2, 4, 6 of w
// and of 1, 3, 5, 7; of the others those of rows 0 .. 3 and of 4 .. 7.
constexpr bool byParity(DType dtype) { return dtype == DType::bf16; }

// 8 values of w.
template <DType dtype>
void loadStep(const uint8_t* w, f32x4& some, f32x4& others) {
  if (dtype == DType::bf16) {
    v128_t packed = wasm_v128_load(w);
    some = wasm_i32x4_shl(packed, 16), others = wasm_v128_and(packed, splat(&kUpperHalf));
  } else if (dtype == DType::f16) {
    widenF16(wasm_v128_load(w), some, others);
  } else {
    some = load((const float*)w);
    others = load((const float*)w + 4);
  }
}

template <DType dtype>
void loadSums(const float* from, f32x4 (&sums)[2]) {
  f32x4 low = load(from), high = load(from + 4);
  sums[0] = byParity(dtype) ? wasm_i32x4_shuffle(low, high, 0, 2, 4, 6) : low;
  sums[1] = byParity(dtype) ? wasm_i32x4_shuffle(low, high, 1, 3, 5, 7) : high;
}

template <DType dtype>
void storeSums(const f32x4 (&sums)[2], float* to) {
  store(to, byParity(dtype) ? wasm_i32x4_shuffle(sums[0], sums[1], 0, 4, 1, 5) : sums[0]);
  store(to + 4, byParity(dtype) ? wasm_i32x4_shuffle(sums[0], sums[1], 2, 6, 3, 7) : sums[1]);
}

template <DType dtype, uint32_t R, uint32_t T>
void multiplyTiles(const float* panel, size_t step, const uint8_t* w, size_t tileBytes, uint32_t k, const float* start,
                   float* y, size_t stride, size_t apart) {
  constexpr size_t kStep = kTileRows * elementBytes(dtype);
  f32x4 sums[T][R][2];
#pragma unroll
  for (uint32_t t = 0; t < T; t++) {
#pragma unroll
    for (uint32_t r = 0; r < R; r++) {
      loadSums<dtype>(start ? start + t * kTileRows : y + r * stride + t * apart, sums[t][r]);
    }
  }
  for (; k; k--, panel += step, w += kStep) {
#pragma unroll
    for (uint32_t t = 0; t < T; t++) {
      f32x4 some, others;
      loadStep<dtype>(w + t * tileBytes, some, others);
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
        f32x4 x = splat(panel + r);
        sums[t][r][0] = madd(x, some, sums[t][r][0]);
        sums[t][r][1] = madd(x, others, sums[t][r][1]);
      }
    }
  }
#pragma unroll
  for (uint32_t t = 0; t < T; t++) {
#pragma unroll
    for (uint32_t r = 0; r < R; r++) storeSums<dtype>(sums[t][r], y + r * stride + t * apart);
  }
}

template <DType dtype>
TileProduct productOf(uint32_t rows, uint32_t tiles) {
  if (tiles > 1) return rows == 1 ? multiplyTiles<dtype, 1, tilesAtOnce(1)> : multiplyTiles<dtype, 2, tilesAtOnce(2)>;
  constexpr TileProduct single[kPanelRows] = {
      multiplyTiles<dtype, 1, 1>, multiplyTiles<dtype, 2, 1>, multiplyTiles<dtype, 3, 1>,
      multiplyTiles<dtype, 4, 1>, multiplyTiles<dtype, 5, 1>, multiplyTiles<dtype, 6, 1>,
  };
  return single[rows - 1];
}

}  // namespace

TileProduct tileProduct(DType dtype, uint32_t rows, uint32_t tiles) {
  if (dtype == DType::bf16) return productOf<DType::bf16>(rows, tiles);
  if (dtype == DType::f16) return productOf<DType::f16>(rows, tiles);
  return productOf<DType::f32>(rows, tiles);
}

void packPanel(const float* const* rows, uint32_t count, uint32_t k, float* panel) {
  constexpr uint32_t kGroups = 2;
  const float* from[4 * kGroups];
  // The last row stands in for those past the end.
  for (uint32_t r = 0; r < 4 * kGroups; r++) from[r] = rows[r < count ? r : count - 1];
  uint32_t i = 0;
  for (; i + 4 <= k; i += 4) {
    f32x4 v[kGroups][4];
    for (uint32_t g = 0; g < kGroups; g++) {
      for (uint32_t j = 0; j < 4; j++) v[g][j] = load(from[4 * g + j] + i);
      transpose(v[g][0], v[g][1], v[g][2], v[g][3]);
    }
    // What a store writes too much, a later one overwrites.
    for (uint32_t j = 0; j < 4; j++, panel += count) {
      store(panel, v[0][j]);
      if (count > 4) store(panel + 4, v[1][j]);
    }
  }
  for (; i < k; i++) {
    for (uint32_t r = 0; r < count; r++) *panel++ = from[r][i];
  }
}

}  // namespace glimt
