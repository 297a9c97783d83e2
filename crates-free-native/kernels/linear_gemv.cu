// y = x wᵀ + bias for up to 8 rows of x (decoding): limited by reading w once. A warp owns kRows rows of w and reads them
// in loads of 16 bytes (weights.h), several of each in flight; `split` warps of a block share those rows and cut k
// between them, so that small matrices still fill the device. Their parts meet in shared memory. Weights in blocks are
// widened in registers, and x stays what it is.
// Gated: a warp's rows are one of g and the same of u, w = g over u, and y = swiglu(x gᵀ, x uᵀ).
#include "../runtime/launch.h"
#include "dispatch.h"
#include "gate.h"
#include "linear.h"
#include "weights.h"

namespace glimt {

namespace {

constexpr int kBlock = 128, kWarps = kBlock / 32;
// Rows of w a warp computes together: each pack of x is used that often. A load of q4 meets four packs of x.
template <class Weights>
constexpr int kRowsOf = Weights::kVec > 16 ? 4 : 2;
// Blocks a multiprocessor that keep its memory busy; asking for no more leaves registers for loads in flight.
template <class T, class Weights>
constexpr int kBlocksOf = kRowsOf<Weights> == 2 ? 4 : sizeof(T) == 2 ? 3 : 2;
// Steps of the k loop whose weights are asked for ahead of the first.
constexpr int kPrefetchSteps = 4;

// Columns of y a warp computes.
template <class Weights, bool Gated>
constexpr int kColumnsOf = Gated ? kRowsOf<Weights> / 2 : kRowsOf<Weights>;

// `n` columns of y; w has twice as many rows when Gated.
template <class T, class Weights, int M, bool Gated>
__global__ void __launch_bounds__(kBlock, kBlocksOf<T, Weights>)
    linear_gemv_kernel(const T* x, int64_t x_stride, Weights w, const float* bias, T* y, int64_t y_stride, int m, int n,
                       int k, int split) {
  constexpr int kVec = Weights::kVec, kRows = kRowsOf<Weights>, kColumns = kColumnsOf<Weights, Gated>;
  using Loaded = typename Weights::Loaded;
  GLIMT_SHARED(float, parts, kWarps* kRows* M);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int part = warp % split;
  const int first = (blockIdx.x * (kWarps / split) + warp / split) * kColumns;

  float sums[kRows][M] = {};
  int64_t rows[kRows];
#pragma unroll
  for (int r = 0; r < kRows; r++) rows[r] = min(first + r % kColumns, n - 1) + int64_t{r / kColumns} * n;
  const int step = 32 * kVec * split;
  // Weights never change: the first of them travel while the kernel before still runs. Eight lanes share 128 bytes.
  if (lane % 8 == 0) {
    for (int i = (part * 32 + lane) * kVec, ahead = 0; ahead < kPrefetchSteps && i < k; ahead++, i += step) {
#pragma unroll
      for (int r = 0; r < kRows; r++) prefetch(w.address(rows[r], i));
    }
  }
  start_kernel();
  const auto load = [&](Loaded(&loaded)[kRows], int i) {
#pragma unroll
    for (int r = 0; r < kRows; r++) loaded[r] = w.load(rows[r], i);
  };
  const auto accumulate = [&](const Loaded(&loaded)[kRows], int i) {
    // A load may be wider than a pack of x.
    constexpr int kPart = kPackSize<T> < kVec ? kPackSize<T> : kVec;
#pragma unroll
    for (int offset = 0; offset < kVec; offset += kPart) {
      float weights[kRows][kPart];
#pragma unroll
      for (int r = 0; r < kRows; r++) Weights::template widen_part<kPart>(loaded[r], offset, weights[r]);
#pragma unroll
      for (int row = 0; row < M; row++) {
        if (row >= m) break;
        const auto pack = load_pack<T, kPart>(x + row * x_stride + i + offset);
#pragma unroll
        for (int r = 0; r < kRows; r++)
#pragma unroll
          for (int v = 0; v < kPart; v++) sums[r][row] += widen(pack.at[v]) * weights[r][v];
      }
    }
  };
  // All loads of a round are started before the first is needed.
  constexpr int kAhead = (M == 1 ? 8 : 4) / kRows;
  int i = (part * 32 + lane) * kVec;
  for (; i + (kAhead - 1) * step < k; i += kAhead * step) {
    Loaded loaded[kAhead][kRows];
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ahead++) load(loaded[ahead], i + ahead * step);
#pragma unroll
    for (int ahead = 0; ahead < kAhead; ahead++) accumulate(loaded[ahead], i + ahead * step);
  }
  for (; i < k; i += step) {
    Loaded loaded[kRows];
    load(loaded, i);
    accumulate(loaded, i);
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
    result = narrow<T>(gated(widen(add_parts(c, 0.0f)), widen(add_parts(c + kColumns, 0.0f))));
  else
    result = add_parts(c, bias ? bias[column] : 0.0f);
  y[row * y_stride + column] = result;
}

template <class T, int M, bool Gated, class Weights>
void launch_gemv(const KernelContext& context, const Weights& w, const LinearCall& call) {
  const auto& [x, _, bias, y] = call;
  constexpr int kWarpColumns = kColumnsOf<Weights, Gated>;
  int split = 1;
  while (split < kWarps &&
         rt::blocks_for(y.cols, kWarpColumns * kWarps / split) <
             unsigned{kBlocksOf<T, Weights>} * context.terms.multiprocessors &&
         x.cols >= int64_t{64} * Weights::kVec * split)
    split *= 2;
  rt::launch(context.stream, Gated ? "linear_gemv_swiglu" : "linear_gemv", linear_gemv_kernel<T, Weights, M, Gated>,
             rt::blocks_for(y.cols, kWarpColumns * kWarps / split), kBlock, 0, x.as<const T>(), x.stride, w,
             Gated ? nullptr : bias, y.as<T>(), y.stride, static_cast<int>(x.rows), static_cast<int>(y.cols),
             static_cast<int>(x.cols), split);
}

// Calls f with the type of x and the weights. Other pairs, as bf16 activations over weights kept in f16 or f32, have no
// kernel here.
template <class F>
bool with_gemv_types(const Operand& x, const Operand& w, F&& f) {
  bool fits = false;
  with_float_type(x.dtype, [&](auto activation) {
    with_weights(w, [&](const auto& weights) {
      using T = typename decltype(activation)::type;
      using Weights = std::remove_cvref_t<decltype(weights)>;
      constexpr bool kSame = std::is_same_v<Weights, FloatRows<T>>;
      if constexpr (Weights::kHasBlocks || kSame || std::is_same_v<T, float>) fits = f(activation, weights);
    });
  });
  return fits;
}

template <bool Gated>
void launch_gemv(const KernelContext& context, const LinearCall& call) {
  with_gemv_types(call.x, call.w, [&](auto activation, const auto& weights) {
    using T = typename decltype(activation)::type;
    if (call.x.rows == 1)
      launch_gemv<T, 1, Gated>(context, weights, call);
    else if (call.x.rows <= 4)
      launch_gemv<T, 4, Gated>(context, weights, call);
    else
      launch_gemv<T, 8, Gated>(context, weights, call);
    return true;
  });
}

}  // namespace

bool gemv_fits(const KernelTerms&, const LinearCall& call) {
  const Operand &x = call.x, &w = call.w;
  return x.rows <= kGemvRows && with_gemv_types(x, w, [&](auto activation, const auto& weights) {
           using T = typename decltype(activation)::type;
           using Weights = std::remove_cvref_t<decltype(weights)>;
           return Weights::loadable(w) && x.cols % Weights::kVec == 0 && x.stride % kPackSize<T> == 0 &&
                  reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
         });
}

void linear_gemv(const KernelContext& context, const LinearCall& call) { launch_gemv<false>(context, call); }

void linear_gemv_swiglu(const KernelContext& context, const LinearCall& call) { launch_gemv<true>(context, call); }

}  // namespace glimt
