// y = x wᵀ + bias on tensor cores: mma.sync m16n8k16, f32 sums. A block computes a kM x kN tile; x and w travel to shared
// memory in slices of 32 of k, four in flight (cp.async), 64 bytes a row whose 16-byte chunks are swizzled so that
// ldmatrix meets no bank twice. When the tiles alone do not fill the device, k is cut into parts (blockIdx.z), whose f32
// sums a second kernel adds.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "linear.h"
#include "tensor_core.h"

namespace glimt {

namespace {

constexpr int kDepth = 32, kStages = 4, kChunk = 8;  // elements of k in a slice; slices in flight; elements in 16 bytes
constexpr int kChunks = kDepth / kChunk;

template <class T, int M, int N>
struct Stage {
  T x[M * kDepth];
  T w[N * kDepth];
};

// Where chunk `chunk` of row `row` lies.
__device__ __forceinline__ int swizzled(int row, int chunk) {
  return row * kDepth + ((chunk ^ (row / 2 % kChunks)) * kChunk);
}

template <class T, int Rows, int Block>
__device__ __forceinline__ void start_slice(T* to, const T* from, int64_t stride, int64_t rows, int64_t first_row,
                                            int first_k, int end_k) {
#pragma unroll
  for (int i = threadIdx.x; i < Rows * kChunks; i += Block) {
    const int row = i / kChunks, chunk = i % kChunks, k = first_k + chunk * kChunk;
    const bool inside = first_row + row < rows && k < end_k;
    cp_async16(to + swizzled(row, chunk), inside ? from + (first_row + row) * stride + k : from, inside);
  }
}

template <class T>
struct MmaArguments {
  const T* x;
  const T* w;
  const float* bias;
  T* y;
  float* parts;  // [splits, m, n] when k is cut, else null
  int64_t x_stride, w_stride, y_stride, m, n;
  int k, k_per_part;
};

// kM x kN a block; warps in a grid of WarpsM x WarpsN.
template <class T, int M, int N, int WarpsM, int WarpsN>
__global__ void __launch_bounds__(WarpsM* WarpsN * 32) linear_mma_kernel(MmaArguments<T> args) {
  start_kernel();
  constexpr int kBlock = WarpsM * WarpsN * 32;
  constexpr int kTilesM = M / WarpsM / 16, kTilesN = N / WarpsN / 8;
  static_assert(kTilesN % 2 == 0);
  using Stages = Stage<T, M, N>[kStages];
  GLIMT_DYNAMIC_SHARED(Stages, stages);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_row = warp / WarpsN * (M / WarpsM), warp_column = warp % WarpsN * (N / WarpsN);
  // Blocks that run together share columns of w: x tiles vary fastest.
  const int64_t first_row = int64_t{blockIdx.x} * M, first_column = int64_t{blockIdx.y} * N;
  const int begin_k = blockIdx.z * args.k_per_part, end_k = min(begin_k + args.k_per_part, args.k);
  const int slices = (end_k - begin_k + kDepth - 1) / kDepth;

  const auto start = [&](int slice) {
    if (slice < slices) {
      auto& stage = stages[slice % kStages];
      const int k = begin_k + slice * kDepth;
      start_slice<T, M, kBlock>(stage.x, args.x, args.x_stride, args.m, first_row, k, end_k);
      start_slice<T, N, kBlock>(stage.w, args.w, args.w_stride, args.n, first_column, k, end_k);
    }
    cp_async_commit();
  };
#pragma unroll
  for (int slice = 0; slice < kStages - 1; slice++) start(slice);

  float sums[kTilesM][kTilesN][4] = {};
  for (int slice = 0; slice < slices; slice++) {
    cp_async_wait<kStages - 2>();
    // The slice has arrived for all threads, and all are done with the stage that is filled next.
    __syncthreads();
    start(slice + kStages - 1);
    const auto& stage = stages[slice % kStages];
#pragma unroll
    for (int k = 0; k < kDepth; k += 16) {
      unsigned a[kTilesM][4], b[kTilesN][2];
#pragma unroll
      for (int i = 0; i < kTilesM; i++)
        ldmatrix4(a[i], stage.x + swizzled(warp_row + i * 16 + lane % 16, k / kChunk + lane / 16));
#pragma unroll
      for (int j = 0; j < kTilesN; j += 2) {
        // Matrices: columns j low k, j high k, j + 1 low k, j + 1 high k.
        unsigned four[4];
        const int row = warp_column + j * 8 + lane / 16 * 8 + lane % 8;
        ldmatrix4(four, stage.w + swizzled(row, k / kChunk + lane / 8 % 2));
        b[j][0] = four[0];
        b[j][1] = four[1];
        b[j + 1][0] = four[2];
        b[j + 1][1] = four[3];
      }
#pragma unroll
      for (int i = 0; i < kTilesM; i++)
#pragma unroll
        for (int j = 0; j < kTilesN; j++) mma<T>(sums[i][j], a[i], b[j][0], b[j][1]);
    }
  }
  cp_async_wait<0>();

  const bool whole = args.parts == nullptr;
  // Two adjacent columns leave together when their address allows it.
  const bool pairs = args.y_stride % 2 == 0 && args.n % 2 == 0;
#pragma unroll
  for (int i = 0; i < kTilesM; i++)
#pragma unroll
    for (int j = 0; j < kTilesN; j++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int64_t row = first_row + warp_row + i * 16 + half * 8 + lane / 4;
        const int64_t column = first_column + warp_column + j * 8 + lane % 4 * 2;
        if (row >= args.m) continue;
        float low = sums[i][j][half * 2], high = sums[i][j][half * 2 + 1];
        if (!whole) {
          float* to = args.parts + (blockIdx.z * args.m + row) * args.n + column;
          if (column < args.n) to[0] = low;
          if (column + 1 < args.n) to[1] = high;
          continue;
        }
        if (args.bias) {
          if (column < args.n) low += args.bias[column];
          if (column + 1 < args.n) high += args.bias[column + 1];
        }
        T* to = args.y + row * args.y_stride + column;
        if (pairs && column < args.n) {
          *reinterpret_cast<unsigned*>(to) = pack_pair<T>(low, high);
        } else {
          if (column < args.n) to[0] = narrow<T>(low);
          if (column + 1 < args.n) to[1] = narrow<T>(high);
        }
      }
}

template <class T>
__global__ void __launch_bounds__(256)
    linear_combine_kernel(const float* parts, int splits, const float* bias, T* y, int64_t y_stride, int64_t m,
                          int64_t n) {
  start_kernel();
  const int64_t index = int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (index >= m * n) return;
  const int64_t row = index / n, column = index % n;
  float sum = bias ? bias[column] : 0.0f;
  for (int part = 0; part < splits; part++) sum += parts[part * m * n + index];
  y[row * y_stride + column] = narrow<T>(sum);
}

constexpr int kSmallRows = 64;

template <class T, int M, int N, int WarpsM, int WarpsN>
void launch_mma(const KernelContext& context, const char* name, const MmaArguments<T>& args, int splits) {
  const dim3 grid(rt::blocks_for(args.m, M), rt::blocks_for(args.n, N), splits);
  rt::launch(context.stream, name, linear_mma_kernel<T, M, N, WarpsM, WarpsN>, grid, WarpsM * WarpsN * 32,
             sizeof(Stage<T, M, N>) * kStages, args);
}

template <class T>
void launch_mma(const KernelContext& context, const View& x, const View& w, const float* bias, const View& y) {
  const int splits = mma_splits(x.rows, w.rows, x.cols, context.multiprocessors);
  MmaArguments<T> args{x.as<const T>(), w.as<const T>(), bias,   y.as<T>(), nullptr, x.stride, w.stride,
                       y.stride,        x.rows,          w.rows, static_cast<int>(x.cols), 0};
  const int slices = (args.k + kDepth - 1) / kDepth;
  args.k_per_part = (slices + splits - 1) / splits * kDepth;
  if (splits > 1) args.parts = static_cast<float*>(context.workspace);
  if (x.rows <= kSmallRows)
    launch_mma<T, 64, 64, 2, 2>(context, "linear_mma_64", args, splits);
  else
    launch_mma<T, 128, 128, 2, 4>(context, "linear_mma_128", args, splits);
  if (splits > 1)
    rt::launch(context.stream, "linear_combine", linear_combine_kernel<T>, rt::blocks_for(args.m * args.n, 256), 256, 0,
               static_cast<const float*>(args.parts), splits, bias, args.y, args.y_stride, args.m, args.n);
}

}  // namespace

bool mma_fits(const View& x, const View& w, const View& y) {
  const bool pairs = y.stride % 2 != 0 || reinterpret_cast<uintptr_t>(y.data) % 4 == 0;
  return x.dtype == w.dtype && x.dtype != DType::f32 && x.cols > 0 && packable<bf16>(x) && packable<bf16>(w) && pairs;
}

int mma_splits(int64_t m, int64_t n, int64_t k, int multiprocessors) {
  if (m <= kGemvRows) return 1;
  const int64_t side = m <= kSmallRows ? 64 : 128;
  const int64_t tiles = ((m + side - 1) / side) * ((n + side - 1) / side);
  int splits = 1;
  // A part keeps at least 256 of k, and partial sums of more than a few tiles cost more than they give.
  while (splits < 8 && tiles * splits * 2 <= multiprocessors * 2 && k / (splits * 2) >= 256) splits *= 2;
  return splits;
}

void linear_mma(const KernelContext& context, const View& x, const View& w, const float* bias, const View& y) {
  if (x.dtype == DType::bf16)
    launch_mma<bf16>(context, x, w, bias, y);
  else
    launch_mma<f16>(context, x, w, bias, y);
}

}  // namespace glimt
