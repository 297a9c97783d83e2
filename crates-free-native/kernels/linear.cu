// y = x wᵀ + bias, any types and alignment: tiles of 64x64 through shared memory, 4x4 a thread, f32 sums.
// This is the way for f32 activations and odd shapes; linear_gemv.cu, linear_mma.cu and linear_wgmma.cu are the fast ones.
#include "linear.h"

#include "../runtime/launch.h"
#include "dispatch.h"
#include "op_entry.h"
#include "weights.h"

namespace glimt {

namespace {

constexpr int kTile = 64, kDepth = 16, kBlock = 256;

struct Tiles {
  // Padded by one bank group, so that the transposed stores do not collide.
  float x[kDepth][kTile + 4];
  float w[kDepth][kTile + 4];
};

template <class Rows>
__device__ __forceinline__ void load_tile(float (&to)[kDepth][kTile + 4], const Rows& from, int64_t rows,
                                          int64_t first_row, int first_k, int k) {
  for (int i = threadIdx.x; i < kTile * kDepth; i += kBlock) {
    const int row = i / kDepth, depth = i % kDepth;
    const bool inside = first_row + row < rows && first_k + depth < k;
    to[depth][row] = inside ? from.at(first_row + row, first_k + depth) : 0.0f;
  }
}

template <class T, class Weights>
__global__ void __launch_bounds__(kBlock)
    linear_simt_kernel(FloatRows<T> x, Weights w, const float* bias, T* y, int64_t y_stride, int64_t m, int64_t n,
                       int k) {
  start_kernel();
  GLIMT_SHARED(Tiles, tiles, 1);
  const int64_t first_row = int64_t{blockIdx.y} * kTile, first_column = int64_t{blockIdx.x} * kTile;
  const int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
  float sums[4][4] = {};
  for (int first_k = 0; first_k < k; first_k += kDepth) {
    load_tile(tiles->x, x, m, first_row, first_k, k);
    load_tile(tiles->w, w, n, first_column, first_k, k);
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

void linear_simt(const KernelContext& context, const LinearCall& call) {
  with_float_type(call.x.dtype, [&](auto activation) {
    with_weights(call.w, [&](const auto& weights) {
      using T = typename decltype(activation)::type;
      using Weights = std::remove_cvref_t<decltype(weights)>;
      rt::launch(context.stream, "linear_simt", linear_simt_kernel<T, Weights>,
                 dim3(rt::blocks_for(call.w.rows, kTile), rt::blocks_for(call.x.rows, kTile)), kBlock, 0,
                 FloatRows<T>(call.x), weights, call.bias, call.y.as<T>(), call.y.stride, call.x.rows, call.w.rows,
                 static_cast<int>(call.x.cols));
    });
  });
}

bool library_fits(const KernelTerms& terms, const LinearCall& call) {
  return terms.library && terms.library->available() && !isGrouped(call.w.dtype) &&
         mma_fits(terms, call) && call.y.stride % 8 == 0 &&
         reinterpret_cast<uintptr_t>(call.y.data) % 16 == 0;
}

// It is faster than linear_mma on tall x, and worth its loading only there.
bool library_pays(const KernelTerms&, const LinearCall& call) {
  constexpr int64_t kLibraryRows = 64;
  return call.x.rows > kLibraryRows;
}

bool linear_library(const KernelContext& context, const LinearCall& call) {
  const auto& [x, w, bias, y] = call;
  rt::LibraryGemm& library = *context.terms.library;
  if (!context.capturing) library.prepare();
  const rt::GemmShape shape{x.dtype, x.rows, w.rows, x.cols, x.stride, w.stride, y.stride};
  bool bias_added = false;
  if (!library.run(context.stream, shape, x.data, w.data, bias, y.data, &bias_added)) return false;
  if (bias && !bias_added) add_bias(context, y, bias, y);
  return true;
}

constexpr Candidate<LinearCall> kRows[] = {
    {"gemv", gemv_fits, nullptr, nullptr, launches<linear_gemv, LinearCall>},
    {"library", library_fits, library_pays, nullptr, linear_library},
    {"wgmma", wgmma_fits, wgmma_pays, nullptr, launches<linear_wgmma, LinearCall>},
    {"mma", mma_fits, nullptr, mma_workspace, launches<linear_mma, LinearCall>, true},
    {"simt", [](const KernelTerms&, const LinearCall&) { return true; }, nullptr, nullptr,
     launches<linear_simt, LinearCall>, true},
};

}  // namespace

const KernelList<LinearCall> linear_kernels{"linear", kRows};

void linear(const KernelContext& context, const LinearCall& call) {
  if (call.x.rows == 0 || call.w.rows == 0) return;
  run(linear_kernels, context, call);
}

size_t linear_workspace(const KernelTerms& terms, const LinearCall& call) {
  return most_workspace(linear_kernels, terms, call);
}

// ---- entries ----

namespace {

// x, w, and the bias if there is one.
LinearCall linear_call(const Call& call) {
  const float* bias = call.in.size() == 3 ? call.in[2].as<const float>() : nullptr;
  return {call.in[0], call.in[1], bias, call.out[0]};
}

void run_linear(const KernelContext& context, const Call& call) { linear(context, linear_call(call)); }

size_t workspace_of_linear(const KernelTerms& terms, const Call& call) {
  return linear_workspace(terms, linear_call(call));
}

}  // namespace

constexpr OpEntry kLinear{run_linear, workspace_of_linear};
constexpr OpEntry kLinearBias{run_linear, workspace_of_linear};

}  // namespace glimt
