// y = x wᵀ + bias on tensor cores; a block computes an M x N tile (mma_tile.h). When the tiles alone do not fill the
// device, k is cut into parts (blockIdx.z), whose f32 sums a second kernel adds. Of a batch-invariant engine the cut is the
// matrix's, made for few rows; tiles of many take the parts in turn, and add them as that kernel does.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "linear.h"
#include "mma_tile.h"

namespace glimt {

namespace {

template <class T, class Weights>
struct MmaArguments {
  const T* x;
  Weights w;
  const float* bias;
  T* y;
  float* parts;  // [splits, m, n] when k is cut, else null
  int64_t x_stride, y_stride, m, n;
  int k, k_per_part;
  // Taken in turn by a block, with InTurn.
  int parts_in_turn;
};

template <class T, class Weights, int M, int N, int WarpsM, int WarpsN, bool InTurn>
__global__ void __launch_bounds__(WarpsM* WarpsN * 32) linear_mma_kernel(MmaArguments<T, Weights> args) {
  start_kernel();
  using Tile = MmaTile<T, Weights, M, N, WarpsM, WarpsN>;
  GLIMT_DYNAMIC_SHARED(Tile, tile);
  // Blocks that run together share columns of w: x tiles vary fastest.
  const int64_t first_row = int64_t{blockIdx.x} * M, first_column = int64_t{blockIdx.y} * N;
  const auto x_row = [&](int row) {
    return first_row + row < args.m ? args.x + (first_row + row) * args.x_stride : nullptr;
  };
  const auto w_row = [&](int row) { return first_column + row < args.n ? first_column + row : -1; };
  const int lane = threadIdx.x % 32;
  typename Tile::Sums sums = {};
  const auto multiply = [&](int part, typename Tile::Sums& to) {
    const int begin_k = part * args.k_per_part, end_k = min(begin_k + args.k_per_part, args.k);
    tile.multiply(begin_k, end_k, args.x, x_row, args.w, w_row, to);
  };
  if constexpr (InTurn) {
    // From the bias on, as linear_combine_kernel.
    if (args.bias) {
#pragma unroll
      for (int j = 0; j < Tile::kTilesN; j++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int64_t column = first_column + Tile::warp_column() + j * 8 + lane % 4 * 2 + h;
          if (column >= args.n) continue;
#pragma unroll
          for (int i = 0; i < Tile::kTilesM; i++) sums[i][j][h] = sums[i][j][h + 2] = args.bias[column];
        }
    }
    for (int part = 0; part < args.parts_in_turn; part++) {
      // The stages of the part before may still be read.
      if (part > 0) __syncthreads();
      typename Tile::Sums products = {};
      multiply(part, products);
#pragma unroll
      for (int i = 0; i < Tile::kTilesM; i++)
#pragma unroll
        for (int j = 0; j < Tile::kTilesN; j++)
#pragma unroll
          for (int h = 0; h < 4; h++) sums[i][j][h] += products[i][j][h];
    }
  } else {
    multiply(blockIdx.z, sums);
  }

  const bool whole = args.parts == nullptr;
  // Two adjacent columns leave together when their address allows it.
  const bool pairs = args.y_stride % 2 == 0 && args.n % 2 == 0;
#pragma unroll
  for (int i = 0; i < Tile::kTilesM; i++)
#pragma unroll
    for (int j = 0; j < Tile::kTilesN; j++)
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int64_t row = first_row + Tile::warp_row() + i * 16 + half * 8 + lane / 4;
        const int64_t column = first_column + Tile::warp_column() + j * 8 + lane % 4 * 2;
        if (row >= args.m) continue;
        float low = sums[i][j][half * 2], high = sums[i][j][half * 2 + 1];
        if (!whole) {
          float* to = args.parts + (blockIdx.z * args.m + row) * args.n + column;
          if (column < args.n) to[0] = low;
          if (column + 1 < args.n) to[1] = high;
          continue;
        }
        if (args.bias && !InTurn) {
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
// Parts of k are whole slices of a tile.
constexpr int kSlice = MmaTile<bf16, FloatRows<bf16>, 64, 64, 2, 2>::kDepth;

template <int M, int N, int WarpsM, int WarpsN, bool InTurn = false, class T, class Weights>
void launch_tiles(const KernelContext& context, const char* name, const MmaArguments<T, Weights>& args, int splits) {
  const dim3 grid(rt::blocks_for(args.m, M), rt::blocks_for(args.n, N), splits);
  rt::launch(context.stream, name, linear_mma_kernel<T, Weights, M, N, WarpsM, WarpsN, InTurn>, grid, WarpsM * WarpsN * 32,
             sizeof(MmaTile<T, Weights, M, N, WarpsM, WarpsN>), args);
}

bool takes_parts_in_turn(const KernelTerms& terms, const LinearCall& call, int splits) {
  return terms.invariant && splits > 1 && call.x.rows > kSmallRows;
}

template <class T, class Weights>
void launch_mma(const KernelContext& context, const Weights& weights, const LinearCall& call) {
  const auto& [x, w, bias, y] = call;
  const int splits = mma_splits(context.terms, call);
  MmaArguments<T, Weights> args{x.as<const T>(), weights, bias,   y.as<T>(), nullptr, x.stride, y.stride, x.rows,
                                w.rows,          static_cast<int>(x.cols), 0, splits};
  const int slices = (args.k + kSlice - 1) / kSlice;
  args.k_per_part = (slices + splits - 1) / splits * kSlice;
  if (takes_parts_in_turn(context.terms, call, splits))
    return launch_tiles<128, 128, 2, 4, true>(context, "linear_mma_parts", args, 1);
  if (splits > 1) args.parts = static_cast<float*>(context.workspace);
  if (x.rows <= kSmallRows)
    launch_tiles<64, 64, 2, 2>(context, "linear_mma_64", args, splits);
  else
    launch_tiles<128, 128, 2, 4>(context, "linear_mma_128", args, splits);
  if (splits > 1)
    rt::launch(context.stream, "linear_combine", linear_combine_kernel<T>, rt::blocks_for(args.m * args.n, 256), 256, 0,
               static_cast<const float*>(args.parts), splits, bias, args.y, args.y_stride, args.m, args.n);
}

}  // namespace

bool mma_fits(const KernelTerms&, const LinearCall& call) {
  const auto& [x, w, bias, y] = call;
  const bool pairs = y.stride % 2 != 0 || reinterpret_cast<uintptr_t>(y.data) % 4 == 0;
  return x.dtype != DType::f32 && x.cols > 0 && packable<bf16>(x) && fits_tensor_cores(w, x.dtype) && pairs;
}

int mma_splits(const KernelTerms& terms, const LinearCall& call) {
  const int64_t n = call.w.rows, k = call.x.cols, m = terms.invariant ? kSmallRows : call.x.rows;
  if (m <= kGemvRows) return 1;
  const int64_t side = m <= kSmallRows ? 64 : 128;
  const int64_t tiles = ((m + side - 1) / side) * ((n + side - 1) / side);
  int splits = 1;
  // A part keeps at least 256 of k, and partial sums of more than a few tiles cost more than they give.
  while (splits < 8 && tiles * splits * 2 <= terms.multiprocessors * 2 && k / (splits * 2) >= 256) splits *= 2;
  return splits;
}

size_t mma_workspace(const KernelTerms& terms, const LinearCall& call) {
  const int splits = mma_splits(terms, call);
  if (splits == 1 || takes_parts_in_turn(terms, call, splits)) return 0;
  return static_cast<size_t>(splits) * call.x.rows * call.w.rows * sizeof(float);
}

void linear_mma(const KernelContext& context, const LinearCall& call) {
  with_tensor_core_weights(call.x.dtype, call.w, [&](auto type, const auto& weights) {
    launch_mma<typename decltype(type)::type>(context, weights, call);
  });
}

}  // namespace glimt
