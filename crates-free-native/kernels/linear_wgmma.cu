// y = x wᵀ + bias with Hopper's wgmma; a block of two warpgroups computes a tile of 128 rows and N columns, 128 or 256.
// x and w travel to shared memory in slices of 64 of k (cp.async into the 128-byte swizzle); while a slice is multiplied,
// the one before it may still be read, and the others are filled.
//
// At least 2 m n k operations and 2 (m k + n k + m n) bytes. A slice of a tile is 128 N 64 multiply-adds, 1024 cycles of
// the tensor cores for N = 256, and (128 + N) 128 bytes: 48 KiB (four stages, 193 KiB of shared memory), or 32 KiB for
// N = 128 (three stages, 97 KiB, two blocks on a multiprocessor). At the peak that would be 48 bytes a cycle and
// multiprocessor from the L2 cache (64 for N = 128), more than it is said to deliver: expect 0.5 to 0.65 of the peak.
// Beyond that lie clusters whose blocks share what they load (TMA multicast). Never measured.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "linear.h"
#include "wgmma.h"

namespace glimt {

namespace {

constexpr int kRows = 128, kBlock = 256;

template <class T>
struct WgmmaArguments {
  const T* x;
  const T* w;
  const float* bias;
  T* y;
  int64_t x_stride, w_stride, y_stride, m, n;
  int k;
  // Whether eight columns of y may leave together.
  bool packs;
};

template <class T, int N>
struct WgmmaTile {
  static constexpr int kStages = N == 256 ? 4 : 3, kBlocks = N == 256 ? 1 : 2;
  // Of the results in shared memory: rows an odd number of 16-byte chunks apart.
  static constexpr int kPitch = N + 8;
  struct Stage {
    T x[kRows * kWgmmaDepth];
    T w[N * kWgmmaDepth];
  };
  static_assert(sizeof(Stage) % kWgmmaAtom == 0 && sizeof(T) * kRows * kPitch <= sizeof(Stage) * kStages);
  static constexpr size_t kSharedBytes = sizeof(Stage) * kStages + kWgmmaAtom;
};

// Starts copying the chunks of a slice, `Rows` rows of 64 elements from `k` on. A thread copies one chunk of every 32nd
// row; `from` is where that chunk lies for k = 0 and its first row. Beyond `rows` and `end_k` all is zero.
template <int Rows, class T>
__device__ __forceinline__ void start_slice(T* to, const T* from, int64_t stride, int64_t rows, int k, int end_k) {
  constexpr int kChunks = kWgmmaDepth / 8, kPass = kBlock / kChunks;
  const int row = threadIdx.x / kChunks, chunk = threadIdx.x % kChunks;
  T* target = to + wgmma_swizzled(row, chunk);
  const bool inside = k + chunk * 8 < end_k;
#pragma unroll
  for (int pass = 0; pass < Rows / kPass; pass++) {
    const bool valid = inside && row + pass * kPass < rows;
    cp_async16(target + pass * kPass * kWgmmaDepth, valid ? from + pass * kPass * stride + k : from, valid);
  }
}

template <class T, int N>
__global__ void __launch_bounds__(kBlock, (WgmmaTile<T, N>::kBlocks)) linear_wgmma_kernel(WgmmaArguments<T> args) {
  start_kernel();
#if GLIMT_WGMMA
  using Tile = WgmmaTile<T, N>;
  GLIMT_DYNAMIC_SHARED(unsigned char, memory);
  auto* stages = reinterpret_cast<typename Tile::Stage*>(wgmma_atoms(&memory));
  // Blocks that run together share columns of w: x tiles vary fastest.
  const int64_t first_row = int64_t{blockIdx.x} * kRows, first_column = int64_t{blockIdx.y} * N;
  const int64_t rows = args.m - first_row, columns = args.n - first_column;
  // The same in all lanes, and known to be.
  const int warpgroup = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpgroup, 0);

  const int row = threadIdx.x / 8, chunk = threadIdx.x % 8;
  // Rows that do not exist are not read, but their copies need an address.
  const T* x = args.x + (row < rows ? (first_row + row) * args.x_stride + chunk * 8 : 0);
  const T* w = args.w + (row < columns ? (first_column + row) * args.w_stride + chunk * 8 : 0);
  const int slices = (args.k + kWgmmaDepth - 1) / kWgmmaDepth;
  const auto start = [&](int slice) {
    if (slice < slices) {
      auto& stage = stages[slice % Tile::kStages];
      start_slice<kRows>(stage.x, x, args.x_stride, rows, slice * kWgmmaDepth, args.k);
      start_slice<N>(stage.w, w, args.w_stride, columns, slice * kWgmmaDepth, args.k);
    }
    cp_async_commit();
  };
  // How far copies run ahead: not into the stage that is multiplied, nor into the one before, which others may read.
  constexpr int kAhead = Tile::kStages - 2;
#pragma unroll
  for (int slice = 0; slice < kAhead; slice++) start(slice);

  float sums[N / 2] = {};
  pin(sums);
  for (int slice = 0; slice < slices; slice++) {
    cp_async_wait<kAhead - 1>();
    fence_async_proxy();
    // The slice has arrived from all threads, and all have waited for the products of the slice before the last.
    __syncthreads();
    const auto& stage = stages[slice % Tile::kStages];
    const uint64_t a = wgmma_matrix(stage.x + warpgroup * 64 * kWgmmaDepth), b = wgmma_matrix(stage.w);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < kWgmmaDepth / 16; step++) wgmma<T, N>(sums, wgmma_step(a, step), wgmma_step(b, step));
    wgmma_commit();
    start(slice + kAhead);
    wgmma_wait<1>();
  }
  wgmma_wait<0>();
  pin(sums);
  cp_async_wait<0>();
  // The stages are free: through them the results leave in whole rows.
  __syncthreads();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  T* results = reinterpret_cast<T*>(stages) + warp * 16 * Tile::kPitch;
#pragma unroll
  for (int j = 0; j < N / 8; j++) {
    const int column = j * 8 + lane % 4 * 2;
    float bias[2] = {};
    if (args.bias) {
      if (column < columns) bias[0] = args.bias[first_column + column];
      if (column + 1 < columns) bias[1] = args.bias[first_column + column + 1];
    }
#pragma unroll
    for (int half = 0; half < 2; half++)
      *reinterpret_cast<unsigned*>(results + (half * 8 + lane / 4) * Tile::kPitch + column) =
          pack_pair<T>(sums[j * 4 + half * 2] + bias[0], sums[j * 4 + half * 2 + 1] + bias[1]);
  }
  __syncwarp();
#pragma unroll 4
  for (int i = lane; i < 16 * (N / 8); i += 32) {
    const int from_row = i / (N / 8), column = i % (N / 8) * 8, to_row = warp * 16 + from_row;
    if (to_row >= rows || column >= columns) continue;
    const auto pack = load_pack<T, 8>(results + from_row * Tile::kPitch + column);
    T* to = args.y + (first_row + to_row) * args.y_stride + first_column + column;
    if (args.packs && column + 8 <= columns) {
      store_pack<T, 8>(to, pack);
    } else {
#pragma unroll
      for (int at = 0; at < 8; at++)
        if (column + at < columns) to[at] = pack.at[at];
    }
  }
#else
  // Never launched where this is all there is.
  __trap();
#endif
}

template <class T, int N>
void launch_wgmma(const KernelContext& context, const char* name, const WgmmaArguments<T>& args) {
  const dim3 grid(rt::blocks_for(args.m, kRows), rt::blocks_for(args.n, N));
  rt::launch(context.stream, name, linear_wgmma_kernel<T, N>, grid, kBlock, WgmmaTile<T, N>::kSharedBytes, args);
}

template <class T>
void launch_wgmma(const KernelContext& context, const LinearCall& call) {
  const auto& [x, w, bias, y] = call;
  const bool packs = y.stride % 8 == 0 && reinterpret_cast<uintptr_t>(y.data) % 16 == 0;
  const WgmmaArguments<T> args{x.as<const T>(), w.as<const T>(), bias,   y.as<T>(),
                               x.stride,        w.stride,        y.stride, x.rows,
                               w.rows,          static_cast<int>(x.cols), packs};
  // The tile that ends first when a multiprocessor takes as long as it loads: 128 + N rows a tile.
  const auto cost = [&](int64_t n) {
    const int64_t tiles = (call.x.rows + kRows - 1) / kRows * ((call.w.rows + n - 1) / n);
    return (tiles + context.terms.multiprocessors - 1) / context.terms.multiprocessors * (kRows + n);
  };
  if (cost(256) <= cost(128))
    launch_wgmma<T, 256>(context, "linear_wgmma_256", args);
  else
    launch_wgmma<T, 128>(context, "linear_wgmma_128", args);
}

}  // namespace

bool wgmma_fits(const KernelTerms& terms, const LinearCall& call) { 
  return terms.has_wgmma && !isGrouped(call.w.dtype) && mma_fits(terms, call);
}

bool wgmma_pays(const KernelTerms& terms, const LinearCall& call) {
  // Fewer tiles than multiprocessors are linear_mma's, which cuts k.
  return terms.uses_wgmma && call.x.rows >= kRows && mma_splits(terms, call) == 1;
}

void linear_wgmma(const KernelContext& context, const LinearCall& call) {
  if (call.x.dtype == DType::bf16)
    launch_wgmma<bf16>(context, call);
  else
    launch_wgmma<f16>(context, call);
}

}  // namespace glimt
