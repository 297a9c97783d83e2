// y = x wᵀ + bias, any types and alignment: tiles of 64x64 through shared memory, 4x4 a thread, f32 sums.
// This is the way for f32 activations and odd shapes; linear_gemv.cu, linear_mma.cu and linear_wgmma.cu are the fast ones.
#include "linear.h"

#include "../runtime/launch.h"
#include "dispatch.h"

namespace glimt {

namespace {

constexpr int kTile = 64, kDepth = 16, kBlock = 256;

struct Tiles {
  // Padded by one bank group, so that the transposed stores do not collide.
  float x[kDepth][kTile + 4];
  float w[kDepth][kTile + 4];
};

template <class T>
__device__ __forceinline__ void load_tile(float (&to)[kDepth][kTile + 4], const T* from, int64_t stride, int64_t rows,
                                          int64_t first_row, int first_k, int k) {
  for (int i = threadIdx.x; i < kTile * kDepth; i += kBlock) {
    const int row = i / kDepth, depth = i % kDepth;
    const bool inside = first_row + row < rows && first_k + depth < k;
    to[depth][row] = inside ? widen(from[(first_row + row) * stride + first_k + depth]) : 0.0f;
  }
}

template <class T, class W>
__global__ void __launch_bounds__(kBlock)
    linear_simt_kernel(const T* x, int64_t x_stride, const W* w, int64_t w_stride, const float* bias, T* y,
                       int64_t y_stride, int64_t m, int64_t n, int k) {
  start_kernel();
  GLIMT_SHARED(Tiles, tiles, 1);
  const int64_t first_row = int64_t{blockIdx.y} * kTile, first_column = int64_t{blockIdx.x} * kTile;
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
  float sums[4][4] = {};
  for (int first_k = 0; first_k < k; first_k += kDepth) {
    load_tile(tiles->x, x, x_stride, m, first_row, first_k, k);
    load_tile(tiles->w, w, w_stride, n, first_column, first_k, k);
    __syncthreads();
#pragma unroll
    for (int depth = 0; depth < kDepth; depth++) {
      float left[4], right[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        left[i] = tiles->x[depth][ty * 4 + i];
        right[i] = tiles->w[depth][tx * 4 + i];
      }
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) sums[i][j] += left[i] * right[j];
    }
    __syncthreads();
  }
  for (int i = 0; i < 4; i++) {
    const int64_t row = first_row + ty * 4 + i;
    if (row >= m) break;
    for (int j = 0; j < 4; j++) {
      const int64_t column = first_column + tx * 4 + j;
      if (column < n) y[row * y_stride + column] = narrow<T>(sums[i][j] + (bias ? bias[column] : 0.0f));
    }
  }
}

void linear_simt(const KernelContext& context, const View& x, const View& w, const float* bias, const View& y) {
  with_float_type(x.dtype, [&](auto activation) {
    with_float_type(w.dtype, [&](auto weight) {
      using T = typename decltype(activation)::type;
      using W = typename decltype(weight)::type;
      rt::launch(context.stream, "linear_simt", linear_simt_kernel<T, W>,
                 dim3(rt::blocks_for(w.rows, kTile), rt::blocks_for(x.rows, kTile)), kBlock, 0, x.as<const T>(),
                 x.stride, w.as<const W>(), w.stride, bias, y.as<T>(), y.stride, x.rows, w.rows,
                 static_cast<int>(x.cols));
    });
  });
}

// The vendor's library is faster than linear_mma on tall x, and worth its loading only there.
bool linear_library(const KernelContext& context, const View& x, const View& w, const float* bias, const View& y) {
  constexpr int64_t kLibraryRows = 64;
  if (!context.library || x.rows <= kLibraryRows || y.stride % 8 != 0 || reinterpret_cast<uintptr_t>(y.data) % 16 != 0)
    return false;
  if (!context.capturing) context.library->prepare();
  const rt::GemmShape shape{x.dtype, x.rows, w.rows, x.cols, x.stride, w.stride, y.stride};
  bool bias_added = false;
  if (!context.library->run(context.stream, shape, x.data, w.data, bias, y.data, &bias_added)) return false;
  if (bias && !bias_added) add_bias(context, y, bias, y);
  return true;
}

}  // namespace

void linear(const KernelContext& context, const View& x, const View& w, const float* bias, const View& y) {
  if (x.rows == 0 || w.rows == 0) return;
  const bool wgmma = wgmma_pays(context, x, w, y);
  if (wgmma && context.wgmma == Wgmma::always) return linear_wgmma(context, x, w, bias, y);
  if (x.rows <= kGemvRows && gemv_fits(x, w, y)) return linear_gemv(context, x, w, bias, y);
  if (mma_fits(x, w, y) && linear_library(context, x, w, bias, y)) return;
  if (wgmma) return linear_wgmma(context, x, w, bias, y);
  if (mma_fits(x, w, y)) return linear_mma(context, x, w, bias, y);
  linear_simt(context, x, w, bias, y);
}

size_t linear_workspace(int64_t m, int64_t n, int64_t k, int multiprocessors) {
  const int splits = mma_splits(m, n, k, multiprocessors);
  return splits > 1 ? static_cast<size_t>(splits) * m * n * sizeof(float) : 0;
}

}  // namespace glimt
