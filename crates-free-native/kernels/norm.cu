// rms_norm:     y = x / sqrt(mean(x²) + eps) * w                       over each group of n columns
// add_rms_norm: sum = a + b (rounded to its storage type), y = rms_norm(sum)
// rms_norm_add_rms_norm: sum = a + rms_norm(b, wb) (both rounded to their storage type), y = rms_norm(sum, w)
// layer_norm:   y = (x - mean(x)) / sqrt(mean((x - mean(x))²) + eps) * w + b
// Statistics in f32. A group is owned by a block (long rows) or by a warp (heads); each thread reads its elements
// again in the second pass, which the L1 cache serves, so y may be the memory of x.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "op_entry.h"

namespace glimt {

namespace {

constexpr int kBlock = 256;

// Sum over the `Threads` threads that own a group: a warp, or the whole block.
template <int Threads>
__device__ float group_sum(float value, float* partial) {
  value = warp_sum(value);
  if constexpr (Threads > 32) {
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
#pragma unroll
    for (int warp = 0; warp < Threads / 32; warp++) value += partial[warp];
    // The next sum reuses `partial`.
    __syncthreads();
  }
  return value;
}

template <class T, int Vec>
struct RmsArguments {
  const T* x;
  const T* residual;
  const float* w;
  T* sum;
  T* y;
  int64_t x_stride, residual_stride, sum_stride, y_stride;
  int groups_per_row, size;
  int64_t groups;
  float eps;
};

template <class T, int Vec, int Threads, bool Residual>
__global__ void __launch_bounds__(kBlock) rms_norm_kernel(RmsArguments<T, Vec> args) {
  start_kernel();
  GLIMT_SHARED(float, partial, kBlock / 32);
  const int64_t group = int64_t{blockIdx.x} * (kBlock / Threads) + threadIdx.x / Threads;
  if (Threads == 32 && group >= args.groups) return;
  const int lane = threadIdx.x % Threads;
  const int64_t row = group / args.groups_per_row;
  const int column = static_cast<int>(group % args.groups_per_row) * args.size;
  const T* x = args.x + row * args.x_stride + column;
  T* y = args.y + row * args.y_stride + column;
  const T* source = x;

  float squares = 0;
  for (int i = lane * Vec; i < args.size; i += Threads * Vec) {
    auto pack = load_pack<T, Vec>(x + i);
    if constexpr (Residual) {
      const auto other = load_pack<T, Vec>(args.residual + row * args.residual_stride + column + i);
#pragma unroll
      for (int v = 0; v < Vec; v++) pack.at[v] = narrow<T>(widen(pack.at[v]) + widen(other.at[v]));
      store_pack<T, Vec>(args.sum + row * args.sum_stride + column + i, pack);
    }
#pragma unroll
    for (int v = 0; v < Vec; v++) squares += widen(pack.at[v]) * widen(pack.at[v]);
  }
  if constexpr (Residual) source = args.sum + row * args.sum_stride + column;

  const float mean = group_sum<Threads>(squares, partial) / static_cast<float>(args.size);
  const float scale = 1.0f / sqrtf(mean + args.eps);
  for (int i = lane * Vec; i < args.size; i += Threads * Vec) {
    auto pack = load_pack<T, Vec>(source + i);
#pragma unroll
    for (int v = 0; v < Vec; v++) pack.at[v] = narrow<T>(widen(pack.at[v]) * scale * args.w[i + v]);
    store_pack<T, Vec>(y + i, pack);
  }
}

template <class T, bool Residual>
void launch_rms(const KernelContext& context, const Operand& x, const Operand& residual, const float* w, int64_t group,
                float eps, const Operand& sum, const Operand& y) {
  if (x.rows == 0 || x.cols == 0) return;
  bool packs = packable<T>(x) && packable<T>(y) && group % kPackSize<T> == 0;
  if (Residual) packs = packs && packable<T>(residual) && packable<T>(sum);
  const auto start = [&](auto vec) {
    constexpr int kVec = decltype(vec)::value;
    const RmsArguments<T, kVec> args{x.as<T>(),
                                     residual.as<T>(),
                                     w,
                                     sum.as<T>(),
                                     y.as<T>(),
                                     x.stride,
                                     residual.stride,
                                     sum.stride,
                                     y.stride,
                                     static_cast<int>(x.cols / group),
                                     static_cast<int>(group),
                                     x.rows * (x.cols / group),
                                     eps};
    if (group <= 32 * kVec * 2) {
      rt::launch(context.stream, "rms_norm_warp", rms_norm_kernel<T, kVec, 32, Residual>,
                 rt::blocks_for(args.groups, kBlock / 32), kBlock, 0, args);
    } else {
      rt::launch(context.stream, "rms_norm_block", rms_norm_kernel<T, kVec, kBlock, Residual>,
                 static_cast<unsigned>(args.groups), kBlock, 0, args);
    }
  };
  if (packs)
    start(std::integral_constant<int, kPackSize<T>>{});
  else
    start(std::integral_constant<int, 1>{});
}

template <class T>
struct SandwichArguments {
  const T *a, *b;
  const float *wb, *w;
  T *sum, *y;
  int64_t a_stride, b_stride, sum_stride, y_stride;
  int size;
  int64_t rows;
  float eps;
};

// Packs of a row that a thread can keep in registers between the passes.
constexpr int kHeld = 2;

// Held: all of a row's packs are in registers, and memory is read once. `sum` may be the memory of a, y that of b.
template <class T, int Vec, int Threads, bool Held>
__global__ void __launch_bounds__(kBlock) rms_norm_add_rms_norm_kernel(SandwichArguments<T> args) {
  const int lane = threadIdx.x % Threads;
  for (int i = lane * 32; i < args.size; i += Threads * 32) {
    prefetch(args.wb + i);
    prefetch(args.w + i);
  }
  start_kernel();
  GLIMT_SHARED(float, partial, kBlock / 32);
  const int64_t row = int64_t{blockIdx.x} * (kBlock / Threads) + threadIdx.x / Threads;
  if (Threads == 32 && row >= args.rows) return;
  const T *a = args.a + row * args.a_stride, *b = args.b + row * args.b_stride;
  T *sum = args.sum + row * args.sum_stride, *y = args.y + row * args.y_stride;

  Pack<T, Vec> left[kHeld], right[kHeld];
  // body(i, slot) for each pack of this thread, at column i; `slot` is a constant where packs are held.
  const auto each_pack = [&](auto&& body) {
    if constexpr (Held) {
#pragma unroll
      for (int slot = 0; slot < kHeld; slot++)
        if (const int i = (slot * Threads + lane) * Vec; i < args.size) body(i, slot);
    } else {
      for (int i = lane * Vec; i < args.size; i += Threads * Vec) body(i, 0);
    }
  };
  if constexpr (Held)
    each_pack([&](int i, int slot) {
      left[slot] = load_pack<T, Vec>(a + i);
      right[slot] = load_pack<T, Vec>(b + i);
    });

  float squares = 0;
  each_pack([&](int i, int slot) {
    if constexpr (!Held) right[slot] = load_pack<T, Vec>(b + i);
#pragma unroll
    for (int v = 0; v < Vec; v++) squares += widen(right[slot].at[v]) * widen(right[slot].at[v]);
  });
  float mean = group_sum<Threads>(squares, partial) / static_cast<float>(args.size);
  const float inner = 1.0f / sqrtf(mean + args.eps);

  squares = 0;
  each_pack([&](int i, int slot) {
    if constexpr (!Held) {
      left[slot] = load_pack<T, Vec>(a + i);
      right[slot] = load_pack<T, Vec>(b + i);
    }
#pragma unroll
    for (int v = 0; v < Vec; v++) {
      const T normed = narrow<T>(widen(right[slot].at[v]) * inner * args.wb[i + v]);
      left[slot].at[v] = narrow<T>(widen(left[slot].at[v]) + widen(normed));
      squares += widen(left[slot].at[v]) * widen(left[slot].at[v]);
    }
    store_pack<T, Vec>(sum + i, left[slot]);
  });
  mean = group_sum<Threads>(squares, partial) / static_cast<float>(args.size);
  const float outer = 1.0f / sqrtf(mean + args.eps);
  each_pack([&](int i, int slot) {
    if constexpr (!Held) left[slot] = load_pack<T, Vec>(sum + i);
#pragma unroll
    for (int v = 0; v < Vec; v++) left[slot].at[v] = narrow<T>(widen(left[slot].at[v]) * outer * args.w[i + v]);
    store_pack<T, Vec>(y + i, left[slot]);
  });
}

template <class T, int Vec>
void launch_sandwich(const KernelContext& context, const SandwichArguments<T>& args) {
  const auto start = [&](auto threads, auto held) {
    constexpr int kThreads = decltype(threads)::value;
    rt::launch(context.stream, "rms_norm_add_rms_norm",
               rms_norm_add_rms_norm_kernel<T, Vec, kThreads, decltype(held)::value>,
               rt::blocks_for(args.rows, kBlock / kThreads), kBlock, 0, args);
  };
  using Warp = std::integral_constant<int, 32>;
  using Block = std::integral_constant<int, kBlock>;
  if (args.size <= 32 * Vec * kHeld)
    start(Warp{}, std::true_type{});
  else if (args.size <= kBlock * Vec * kHeld)
    start(Block{}, std::true_type{});
  else
    start(Block{}, std::false_type{});
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    layer_norm_kernel(const T* x, int64_t x_stride, const float* w, const float* b, float eps, int size, T* y,
                      int64_t y_stride) {
  start_kernel();
  GLIMT_SHARED(float, partial, kBlock / 32);
  x += blockIdx.x * x_stride;
  y += blockIdx.x * y_stride;
  float total = 0;
  for (int i = threadIdx.x; i < size; i += kBlock) total += widen(x[i]);
  const float mean = group_sum<kBlock>(total, partial) / static_cast<float>(size);
  float squares = 0;
  for (int i = threadIdx.x; i < size; i += kBlock) {
    const float centred = widen(x[i]) - mean;
    squares += centred * centred;
  }
  const float variance = group_sum<kBlock>(squares, partial) / static_cast<float>(size);
  const float scale = 1.0f / sqrtf(variance + eps);
  for (int i = threadIdx.x; i < size; i += kBlock) y[i] = narrow<T>((widen(x[i]) - mean) * scale * w[i] + b[i]);
}

void rms_norm(const KernelContext& context, const Operand& x, const float* w, int64_t group, float eps, const Operand& y) {
  with_float_type(x.dtype, [&](auto type) {
    launch_rms<typename decltype(type)::type, false>(context, x, {}, w, group, eps, {}, y);
  });
}

void add_rms_norm(const KernelContext& context, const Operand& a, const Operand& b, const float* w, float eps,
                  const Operand& sum, const Operand& y) {
  with_float_type(a.dtype, [&](auto type) {
    launch_rms<typename decltype(type)::type, true>(context, a, b, w, a.cols, eps, sum, y);
  });
}

void rms_norm_add_rms_norm(const KernelContext& context, const Operand& a, const Operand& b, const float* wb, const float* w,
                           float eps, const Operand& sum, const Operand& y) {
  if (a.rows == 0 || a.cols == 0) return;
  with_float_type(a.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const SandwichArguments<T> args{a.as<T>(), b.as<T>(), wb,         w,        sum.as<T>(),
                                    y.as<T>(), a.stride,  b.stride,   sum.stride, y.stride,
                                    static_cast<int>(a.cols), a.rows, eps};
    if (packable<T>(a) && packable<T>(b) && packable<T>(sum) && packable<T>(y))
      launch_sandwich<T, kPackSize<T>>(context, args);
    else
      launch_sandwich<T, 1>(context, args);
  });
}

void layer_norm(const KernelContext& context, const Operand& x, const float* w, const float* b, float eps, const Operand& y) {
  if (x.rows == 0 || x.cols == 0) return;
  with_float_type(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    rt::launch(context.stream, "layer_norm", layer_norm_kernel<T>, static_cast<unsigned>(x.rows), kBlock, 0,
               x.as<const T>(), x.stride, w, b, eps, static_cast<int>(x.cols), y.as<T>(), y.stride);
  });
}

}  // namespace

// ---- entries ----

constexpr OpEntry kRmsNorm{[](const KernelContext& context, const Call& call) {
  const Operand& w = call.in[1];
  rms_norm(context, call.in[0], w.as<const float>(), w.rows, call.attrs<program::op_rms_norm::Attrs>().eps,
           call.out[0]);
}};

constexpr OpEntry kAddRmsNorm{[](const KernelContext& context, const Call& call) {
  add_rms_norm(context, call.in[0], call.in[1], call.in[2].as<const float>(),
               call.attrs<program::op_add_rms_norm::Attrs>().eps, call.out[0], call.out[1]);
}};

constexpr OpEntry kRmsNormAddRmsNorm{[](const KernelContext& context, const Call& call) {
  rms_norm_add_rms_norm(context, call.in[0], call.in[1], call.in[2].as<const float>(), call.in[3].as<const float>(),
                        call.attrs<program::op_rms_norm_add_rms_norm::Attrs>().eps, call.out[0], call.out[1]);
}};

constexpr OpEntry kLayerNorm{[](const KernelContext& context, const Call& call) {
  layer_norm(context, call.in[0], call.in[1].as<const float>(), call.in[2].as<const float>(),
             call.attrs<program::op_layer_norm::Attrs>().eps, call.out[0]);
}};

}  // namespace glimt
