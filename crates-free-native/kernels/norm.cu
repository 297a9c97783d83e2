// rms_norm:     y = x / sqrt(mean(x²) + eps) * w                       over each group of n columns
// add_rms_norm: sum = a + b (rounded to its storage type), y = rms_norm(sum)
// layer_norm:   y = (x - mean(x)) / sqrt(mean((x - mean(x))²) + eps) * w + b
// Statistics in f32. A group is owned by a block (long rows) or by a warp (heads); each thread reads its elements
// again in the second pass, which the L1 cache serves, so y may be the memory of x.
#include "../runtime/launch.h"
#include "dispatch.h"

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
void launch_rms(const KernelContext& context, const View& x, const View& residual, const float* w, int64_t group,
                float eps, const View& sum, const View& y) {
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

}  // namespace

void rms_norm(const KernelContext& context, const View& x, const float* w, int64_t group, float eps, const View& y) {
  with_float_type(x.dtype, [&](auto type) {
    launch_rms<typename decltype(type)::type, false>(context, x, {}, w, group, eps, {}, y);
  });
}

void add_rms_norm(const KernelContext& context, const View& a, const View& b, const float* w, float eps,
                  const View& sum, const View& y) {
  with_float_type(a.dtype, [&](auto type) {
    launch_rms<typename decltype(type)::type, true>(context, a, b, w, a.cols, eps, sum, y);
  });
}

void layer_norm(const KernelContext& context, const View& x, const float* w, const float* b, float eps, const View& y) {
  if (x.rows == 0 || x.cols == 0) return;
  with_float_type(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    rt::launch(context.stream, "layer_norm", layer_norm_kernel<T>, static_cast<unsigned>(x.rows), kBlock, 0,
               x.as<const T>(), x.stride, w, b, eps, static_cast<int>(x.cols), y.as<T>(), y.stride);
  });
}

}  // namespace glimt
