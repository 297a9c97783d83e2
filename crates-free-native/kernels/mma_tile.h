// A block's M x N tile of x wᵀ on tensor cores: mma.sync m16n8k16, f32 sums. x and w travel to shared memory in slices
// of 32 of k, four in flight (cp.async), 64 bytes a row whose 16-byte chunks are swizzled so that ldmatrix meets no bank
// twice. Where a row of x or w lies is the kernel's business.
#pragma once
#include "tensor_core.h"

namespace glimt {

// Warps in a grid of WarpsM x WarpsN; the object lies in shared memory.
template <class T, int M, int N, int WarpsM, int WarpsN>
struct MmaTile {
  static constexpr int kRows = M, kColumns = N, kBlock = WarpsM * WarpsN * 32;
  // Elements of k in a slice; slices in flight; elements in 16 bytes.
  static constexpr int kDepth = 32, kStages = 4, kChunk = 8, kChunks = kDepth / kChunk;
  static constexpr int kTilesM = M / WarpsM / 16, kTilesN = N / WarpsN / 8;
  static_assert(kTilesN % 2 == 0);
  // Of this thread: element h of sums[i][j] is of row 16 i + h / 2 * 8 + lane / 4 and column 8 j + lane % 4 * 2 + h % 2
  // of its warp's part of the tile.
  using Sums = float[kTilesM][kTilesN][4];

  struct Stage {
    T x[M * kDepth];
    T w[N * kDepth];
  };
  Stage stages[kStages];

  static __device__ __forceinline__ int warp_row() { return threadIdx.x / 32 / WarpsN * (M / WarpsM); }
  static __device__ __forceinline__ int warp_column() { return threadIdx.x / 32 % WarpsN * (N / WarpsN); }

  // Adds the products over k in [begin_k, end_k), multiples of 8. `x_row(r)` and `w_row(r)` are where rows of the tile
  // begin (aligned to 16 bytes), null for rows of zeros; `anywhere` is any address in global memory.
  template <class XRow, class WRow>
  __device__ __forceinline__ void multiply(int begin_k, int end_k, const T* anywhere, const XRow& x_row,
                                           const WRow& w_row, Sums& sums) {
    const int lane = threadIdx.x % 32;
    const int slices = (end_k - begin_k + kDepth - 1) / kDepth;
    const auto start = [&](int slice) {
      if (slice < slices) {
        Stage& stage = stages[slice % kStages];
        const int k = begin_k + slice * kDepth;
        start_slice<M>(stage.x, k, end_k, anywhere, x_row);
        start_slice<N>(stage.w, k, end_k, anywhere, w_row);
      }
      cp_async_commit();
    };
#pragma unroll
    for (int slice = 0; slice < kStages - 1; slice++) start(slice);

    for (int slice = 0; slice < slices; slice++) {
      cp_async_wait<kStages - 2>();
      // The slice has arrived for all threads, and all are done with the stage that is filled next.
      __syncthreads();
      start(slice + kStages - 1);
      const Stage& stage = stages[slice % kStages];
#pragma unroll
      for (int k = 0; k < kDepth; k += 16) {
        unsigned a[kTilesM][4], b[kTilesN][2];
#pragma unroll
        for (int i = 0; i < kTilesM; i++)
          ldmatrix4(a[i], stage.x + swizzled(warp_row() + i * 16 + lane % 16, k / kChunk + lane / 16));
#pragma unroll
        for (int j = 0; j < kTilesN; j += 2) {
          // Matrices: columns j low k, j high k, j + 1 low k, j + 1 high k.
          unsigned four[4];
          const int row = warp_column() + j * 8 + lane / 16 * 8 + lane % 8;
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
  }

 private:
  // Where chunk `chunk` of row `row` lies.
  static __device__ __forceinline__ int swizzled(int row, int chunk) {
    return row * kDepth + ((chunk ^ (row / 2 % kChunks)) * kChunk);
  }

  template <int Rows, class RowOf>
  static __device__ __forceinline__ void start_slice(T* to, int first_k, int end_k, const T* anywhere,
                                                     const RowOf& row_of) {
#pragma unroll
    for (int i = threadIdx.x; i < Rows * kChunks; i += kBlock) {
      const int row = i / kChunks, chunk = i % kChunks, k = first_k + chunk * kChunk;
      const T* from = row_of(row);
      const bool inside = from != nullptr && k < end_k;
      cp_async16(to + swizzled(row, chunk), inside ? from + k : anywhere, inside);
    }
  }
};

}  // namespace glimt
