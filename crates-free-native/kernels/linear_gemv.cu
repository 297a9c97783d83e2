// y = x wᵀ + bias for up to 8 rows of x (decoding): limited by reading w once. A warp owns kRows rows of w and reads them
// in packs of 16 bytes, several of each in flight; `split` warps of a block share those rows and cut k between them,
// so that small matrices still fill the device. Their parts meet in shared memory.
// Gated: a warp's rows are one of g and the same of u, w = g over u, and y = swiglu(x gᵀ, x uᵀ).
#include "../runtime/launch.h"
#include "dispatch.h"
#include "gate.h"
#include "linear.h"

namespace glimt {

namespace {

// Four blocks a multiprocessor keep its memory busy; asking for no more leaves registers for loads in flight.
constexpr int kBlock = 128, kWarps = kBlock / 32, kBlocks = 4;
// Rows of w a warp computes together: each pack of x is used that often.
constexpr int kRows = 2;
// Steps of the k loop whose weights are asked for ahead of the first.
constexpr int kPrefetchSteps = 4;

// `n` columns of y; w has twice as many rows when Gated.
template <class T, class W, int M, bool Gated>
__global__ void __launch_bounds__(kBlock, kBlocks)
    linear_gemv_kernel(const T* x, int64_t x_stride, const W* w, int64_t w_stride, const float* bias, T* y,
                       int64_t y_stride, int m, int n, int k, int split) {
  constexpr int kVec = kPackSize<W>;
  GLIMT_SHARED(float, parts, kWarps* kRows* M);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int part = warp % split;
  constexpr int kColumns = Gated ? 1 : kRows;
  const int first = (blockIdx.x * (kWarps / split) + warp / split) * kColumns;

  float sums[kRows][M] = {};
  const W* rows[kRows];
#pragma unroll
  for (int r = 0; r < kRows; r++)
    rows[r] = w + int64_t{Gated ? min(first, n - 1) + r * n : min(first + r, n - 1)} * w_stride;
  const int step = 32 * kVec * split;
  // Weights never change: the first of them travel while the kernel before still runs. Eight lanes share 128 bytes.
  if (lane % 8 == 0) {
    for (int i = (part * 32 + lane) * kVec, ahead = 0; ahead < kPrefetchSteps && i < k; ahead++, i += step) {
#pragma unroll
      for (int r = 0; r < kRows; r++) prefetch(rows[r] + i);
    }
  }
  start_kernel();
  const auto load = [&](Pack<W, kVec>(&packs)[kRows], int i) {
#pragma unroll
    for (int r = 0; r < kRows; r++) packs[r] = load_pack<W, kVec>(rows[r] + i);
  };
  const auto accumulate = [&](const Pack<W, kVec>(&packs)[kRows], int i) {
#pragma unroll
    for (int row = 0; row < M; row++) {
      if (row >= m) break;
      const T* from = x + row * x_stride + i;
      float values[kVec];
      // x may be wider than w: it is read in packs of its own size.
      constexpr int kPart = kPackSize<T> < kVec ? kPackSize<T> : kVec;
#pragma unroll
      for (int offset = 0; offset < kVec; offset += kPart) {
        const auto pack = load_pack<T, kPart>(from + offset);
#pragma unroll
        for (int v = 0; v < kPart; v++) values[offset + v] = widen(pack.at[v]);
      }
#pragma unroll
      for (int r = 0; r < kRows; r++)
#pragma unroll
        for (int v = 0; v < kVec; v++) sums[r][row] += values[v] * widen(packs[r].at[v]);
    }
  };
  // All loads of a round are started before the first is needed.
  constexpr int kAhead = M == 1 ? 4 : 2;
  int i = (part * 32 + lane) * kVec;
  for (; i + (kAhead - 1) * step < k; i += kAhead * step) {
    Pack<W, kVec> packs[kAhead][kRows];
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ahead++) load(packs[ahead], i + ahead * step);
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ahead++) accumulate(packs[ahead], i + ahead * step);
  }
  for (; i < k; i += step) {
    Pack<W, kVec> packs[kRows];
    load(packs, i);
    accumulate(packs, i);
  }

#pragma unroll
  for (int r = 0; r < kRows; r++)
#pragma unroll
    for (int row = 0; row < M; row++) {
      const float sum = warp_sum(sums[r][row]);
      if (lane == 0) parts[(warp * kRows + r) * M + row] = sum;
    }
  __syncthreads();
  // Thread (row group, column, row) adds the parts of one output.
  const int groups = kWarps / split;
  const int index = threadIdx.x;
  if (index >= groups * kColumns * M) return;
  const int group = index / (kColumns * M), c = index / M % kColumns, row = index % M;
  const int column = (blockIdx.x * groups + group) * kColumns + c;
  if (column >= n || row >= m) return;
  const auto add_parts = [&](int r, float sum) {
    for (int p = 0; p < split; p++) sum += parts[((group * split + p) * kRows + r) * M + row];
    return narrow<T>(sum);
  };
  T result;
  if constexpr (Gated)
    result = narrow<T>(gated(widen(add_parts(0, 0.0f)), widen(add_parts(1, 0.0f))));
  else
    result = add_parts(c, bias ? bias[column] : 0.0f);
  y[row * y_stride + column] = result;
}

template <class T, class W, int M, bool Gated>
void launch_gemv(const KernelContext& context, const Operand& x, const Operand& w, const float* bias, const Operand& y) {
  constexpr int kColumns = Gated ? 1 : kRows;
  int split = 1;
  while (split < kWarps &&
         rt::blocks_for(y.cols, kColumns * kWarps / split) < unsigned{kBlocks} * context.terms.multiprocessors &&
         x.cols >= int64_t{64} * kPackSize<W> * split)
    split *= 2;
  rt::launch(context.stream, Gated ? "linear_gemv_swiglu" : "linear_gemv", linear_gemv_kernel<T, W, M, Gated>,
             rt::blocks_for(y.cols, kColumns * kWarps / split), kBlock, 0, x.as<const T>(), x.stride, w.as<const W>(),
             w.stride, bias, y.as<T>(), y.stride, static_cast<int>(x.rows), static_cast<int>(y.cols),
             static_cast<int>(x.cols), split);
}

template <class T, class W, bool Gated>
void launch_gemv(const KernelContext& context, const Operand& x, const Operand& w, const float* bias, const Operand& y) {
  if (x.rows == 1) return launch_gemv<T, W, 1, Gated>(context, x, w, bias, y);
  if (x.rows <= 4) return launch_gemv<T, W, 4, Gated>(context, x, w, bias, y);
  launch_gemv<T, W, 8, Gated>(context, x, w, bias, y);
}

template <class T, class W>
bool aligned_for_gemv(const Operand& x, const Operand& w) {
  return packable<W>(w) && x.cols % kPackSize<W> == 0 && x.stride % kPackSize<T> == 0 &&
         reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
}

// Calls f with the pair of types. Other pairs, as bf16 activations over weights kept in f16 or f32, have no kernel here.
template <class F>
bool with_gemv_types(const Operand& x, const Operand& w, F&& f) {
  if (x.dtype == DType::bf16 && w.dtype == DType::bf16) return f(Type<bf16>{}, Type<bf16>{});
  if (x.dtype == DType::f16 && w.dtype == DType::f16) return f(Type<f16>{}, Type<f16>{});
  if (x.dtype == DType::f32 && w.dtype == DType::f32) return f(Type<float>{}, Type<float>{});
  if (x.dtype == DType::f32 && w.dtype == DType::bf16) return f(Type<float>{}, Type<bf16>{});
  if (x.dtype == DType::f32 && w.dtype == DType::f16) return f(Type<float>{}, Type<f16>{});
  return false;
}

}  // namespace

bool gemv_fits(const KernelTerms&, const LinearCall& call) {
  return call.x.rows <= kGemvRows && with_gemv_types(call.x, call.w, [&](auto activation, auto weight) {
           return aligned_for_gemv<typename decltype(activation)::type, typename decltype(weight)::type>(call.x, call.w);
         });
}

void linear_gemv(const KernelContext& context, const LinearCall& call) {
  with_gemv_types(call.x, call.w, [&](auto activation, auto weight) {
    launch_gemv<typename decltype(activation)::type, typename decltype(weight)::type, false>(context, call.x, call.w,
                                                                                             call.bias, call.y);
    return true;
  });
}

void linear_gemv_swiglu(const KernelContext& context, const LinearCall& call) {
  with_gemv_types(call.x, call.w, [&](auto activation, auto weight) {
    launch_gemv<typename decltype(activation)::type, typename decltype(weight)::type, true>(context, call.x, call.w,
                                                                                            nullptr, call.y);
    return true;
  });
}

}  // namespace glimt
