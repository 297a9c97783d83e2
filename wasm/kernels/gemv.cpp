// GEMV: y[m, n] = x[m, k] wᵀ + bias for m <= 4 rows, bound by reading w. Each tile of 8 rows of w is one
// contiguous stream; its values are widened in registers and meet all rows of x at once. Several steps of k run
// side by side, so that additions do not wait for each other.
#include "gemm.h"
#include "weights.h"

namespace glimt {
namespace {

// Loads one step of a tile: 8 values of w.
template <DType dtype>
void loadStep(const uint8_t* w, f32x4& low, f32x4& high) {
  if (dtype == DType::bf16) {
    widenBf16(wasm_v128_load(w), low, high);
  } else if (dtype == DType::f16) {
    widenF16(wasm_v128_load(w), low, high);
  } else {
    low = load((const float*)w);
    high = load((const float*)w + 4);
  }
}

// sums[M][8] of one tile. kSteps steps of k are unrolled; kChains of them have accumulators of their own.
template <DType dtype, uint32_t M>
void tileRows(const float* const* x, const uint8_t* w, uint32_t k, float* sums) {
  constexpr uint32_t kChains = M == 1 ? 4 : M == 2 ? 2 : 1;
  constexpr uint32_t kSteps = M == 1 ? 4 : 2;
  constexpr size_t kStep = kTileRows * elementBytes(dtype);
  f32x4 low[M][kChains], high[M][kChains];
#pragma unroll
  for (uint32_t r = 0; r < M; r++) {
#pragma unroll
    for (uint32_t c = 0; c < kChains; c++) low[r][c] = high[r][c] = zero();
  }
  uint32_t i = 0;
  for (; i + kSteps <= k; i += kSteps, w += kSteps * kStep) {
#pragma unroll
    for (uint32_t step = 0; step < kSteps; step++) {
      f32x4 w0, w1;
      loadStep<dtype>(w + step * kStep, w0, w1);
#pragma unroll
      for (uint32_t r = 0; r < M; r++) {
        f32x4 value = splat(x[r] + i + step);
        low[r][step % kChains] = madd(value, w0, low[r][step % kChains]);
        high[r][step % kChains] = madd(value, w1, high[r][step % kChains]);
      }
    }
  }
  for (; i < k; i++, w += kStep) {
    f32x4 w0, w1;
    loadStep<dtype>(w, w0, w1);
#pragma unroll
    for (uint32_t r = 0; r < M; r++) {
      f32x4 value = splat(x[r] + i);
      low[r][0] = madd(value, w0, low[r][0]);
      high[r][0] = madd(value, w1, high[r][0]);
    }
  }
#pragma unroll
  for (uint32_t r = 0; r < M; r++) {
#pragma unroll
    for (uint32_t c = 1; c < kChains; c++) {
      low[r][0] = add(low[r][0], low[r][c]);
      high[r][0] = add(high[r][0], high[r][c]);
    }
    store(sums + r * kTileRows, low[r][0]);
    store(sums + r * kTileRows + 4, high[r][0]);
  }
}

template <DType dtype, uint32_t M>
void gemvRows(const Product& p) {
  const float* x[M];
  for (uint32_t r = 0; r < M; r++) x[r] = p.x.row(r);
  size_t tileBytes = (size_t)p.w.cols * kTileRows * elementBytes(dtype);
  for (uint32_t tile = p.firstRow / kTileRows; tile * kTileRows < p.lastRow; tile++) {
    alignas(16) float sums[M * kTileRows];
    tileRows<dtype, M>(x, p.w.data + tile * tileBytes, p.w.cols, sums);
    for (uint32_t lane = 0; lane < kTileRows; lane++) {
      uint32_t row = tile * kTileRows + lane;
      if (row < p.firstRow || row >= p.lastRow) continue;
      uint32_t column = row - p.firstRow;
      float bias = p.bias ? p.bias[column] : 0.0f;
      for (uint32_t r = 0; r < M; r++) p.y[r * p.yStride + column] = sums[r * kTileRows + lane] + bias;
    }
  }
}

template <DType dtype>
void gemvDType(const Product& p) {
  if (p.m == 1) gemvRows<dtype, 1>(p);
  else if (p.m == 2) gemvRows<dtype, 2>(p);
  else if (p.m == 3) gemvRows<dtype, 3>(p);
  else if (p.m == 4) gemvRows<dtype, 4>(p);
}

}  // namespace

void gemv(const Product& p) {
  if (p.w.dtype == DType::bf16) gemvDType<DType::bf16>(p);
  else if (p.w.dtype == DType::f16) gemvDType<DType::f16>(p);
  else gemvDType<DType::f32>(p);
}

}  // namespace glimt
