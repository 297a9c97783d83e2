// A block's M x N tile of x wᵀ on tensor cores: mma.sync m16n8k16, f32 sums. x and w travel to shared memory in slices
// of 32 of k, four in flight (cp.async), 64 bytes a row whose 16-byte chunks are swizzled so that ldmatrix meets no bank
// twice. Where a row of x or w lies is the kernel's business.
// A slice of weights in blocks travels through registers. What is stored are its elements without their scale, which are
// exact in the type of x; the products of each slice are summed by themselves and then multiplied by the scale in f32, so
// that no weight is rounded.
#pragma once
#include "tensor_core.h"
#include "weights.h"

namespace glimt {

// The type's bits of two values that it holds exactly.
template <class T>
__device__ __forceinline__ unsigned pack_exact(float low, float high) {
  if constexpr (std::is_same_v<T, bf16>)
    return __byte_perm(__float_as_uint(low), __float_as_uint(high), 0x7632);
  else
    return pack_pair<T>(low, high);
}

// Warps in a grid of WarpsM x WarpsN; the object lies in shared memory. Weights are FloatRows<T>, or in blocks.
template <class T, class Weights, int M, int N, int WarpsM, int WarpsN>
struct MmaTile {
  static constexpr int kRows = M, kColumns = N, kBlock = WarpsM * WarpsN * 32;
  // Elements of k in a slice; slices in flight; elements in 16 bytes.
  static constexpr int kDepth = 32, kStages = 4, kChunk = 8, kChunks = kDepth / kChunk, kSteps = kDepth / 16;
  static constexpr int kTilesM = M / WarpsM / 16, kTilesN = N / WarpsN / 8;
  static_assert(kTilesN % 2 == 0);
  // Of this thread: element h of sums[i][j] is of row 16 i + h / 2 * 8 + lane / 4 and column 8 j + lane % 4 * 2 + h % 2
  // of its warp's part of the tile.
  using Sums = float[kTilesM][kTilesN][4];

  struct Stage {
    T x[M * kDepth];
    T w[N * kDepth];
  };
  struct StageOfBlocks : Stage {
    float scales[N];
  };
  std::conditional_t<Weights::kHasBlocks, StageOfBlocks, Stage> stages[kStages];

  static __device__ __forceinline__ int warp_row() { return threadIdx.x / 32 / WarpsN * (M / WarpsM); }
  static __device__ __forceinline__ int warp_column() { return threadIdx.x / 32 % WarpsN * (N / WarpsN); }

  // Adds the products over k in [begin_k, end_k), multiples of 8, of 32 where weights are in blocks. `x_row(r)` is where a
  // row of the tile begins (aligned to 16 bytes), null for a row of zeros; `w_row(r)` is the row of `w` for row r of the
  // tile, below 0 for zeros. `anywhere` is any address in global memory.
  template <class XRow, class WRow>
  __device__ __forceinline__ void multiply(int begin_k, int end_k, const T* anywhere, const XRow& x_row,
                                           const Weights& w, const WRow& w_row, Sums& sums) {
    if constexpr (Weights::kHasBlocks) {
      static_assert(Weights::kBlockCols % kDepth == 0 && 2 * N % kBlock == 0);
      // Halves of 32 columns that a thread stores.
      constexpr int kHalves = 2 * N / kBlock;
      typename Weights::Half held[kHalves];
      const auto fetch = [&](int slice) {
        const int k = begin_k + slice * kDepth;
#pragma unroll
        for (int i = 0; i < kHalves; i++) {
          const int index = threadIdx.x + i * kBlock;
          const int64_t row = w_row(index / 2);
          held[i] = {};
          if (row >= 0 && k < end_k) held[i] = w.load_half(row, k, index % 2);
        }
      };
      const auto put = [&](int slice) {
        auto& stage = stages[slice % kStages];
#pragma unroll
        for (int i = 0; i < kHalves; i++) {
          const int index = threadIdx.x + i * kBlock;
          if (index % 2 == 0) stage.scales[index / 2] = Weights::unit_scale(held[i]);
#pragma unroll
          for (int chunk = 0; chunk < 2; chunk++) {
            float units[kChunk];
            Weights::chunk_units(held[i], chunk, units);
            T* to = stage.w + swizzled(index / 2, Weights::chunk_of(index % 2, chunk));
            store_pack<unsigned, 4>(reinterpret_cast<unsigned*>(to),
                                    {pack_exact<T>(units[0], units[1]), pack_exact<T>(units[2], units[3]),
                                     pack_exact<T>(units[4], units[5]), pack_exact<T>(units[6], units[7])});
          }
        }
      };
      fetch(0);
      put(0);
      fetch(1);
      // The stage of the next slice was last read before the barrier, and is read after the next one. What is fetched
      // here has the products of a slice to arrive in.
      run(begin_k, end_k, anywhere, x_row, [](Stage&, int) {},
          [&](int slice) {
            put(slice + 1);
            fetch(slice + 2);
          },
          sums);
    } else {
      const auto row_of = [&](int r) {
        const int64_t row = w_row(r);
        return row < 0 ? nullptr : w.data + row * w.stride;
      };
      run(begin_k, end_k, anywhere, x_row,
          [&](Stage& stage, int k) { start_slice<N>(stage.w, k, end_k, anywhere, row_of); }, [](int) {}, sums);
    }
  }

 private:
  // `start_w(stage, k)` starts copies of a slice of w some slices ahead; `meanwhile(slice)` is called between the barrier
  // before the products of a slice and these.
  template <class XRow, class StartW, class Meanwhile>
  __device__ __forceinline__ void run(int begin_k, int end_k, const T* anywhere, const XRow& x_row,
                                      const StartW& start_w, const Meanwhile& meanwhile, Sums& sums) {
    const int slices = (end_k - begin_k + kDepth - 1) / kDepth;
    const auto start = [&](int slice) {
      if (slice < slices) {
        Stage& stage = stages[slice % kStages];
        const int k = begin_k + slice * kDepth;
        start_slice<M>(stage.x, k, end_k, anywhere, x_row);
        start_w(stage, k);
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
      meanwhile(slice);
      const auto& stage = stages[slice % kStages];
      if constexpr (Weights::kHasBlocks) {
        add_scaled(stage, sums);
      } else {
#pragma unroll
        for (int step = 0; step < kSteps; step++) {
          unsigned a[kTilesM][4], b[kTilesN / 2][4];
          load_x(stage, step, a);
#pragma unroll
          for (int j = 0; j < kTilesN; j += 2) load_w(stage, step, j, b[j / 2]);
#pragma unroll
          for (int i = 0; i < kTilesM; i++)
#pragma unroll
            for (int j = 0; j < kTilesN; j++) mma<T>(sums[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
      }
    }
    cp_async_wait<0>();
  }

  static __device__ __forceinline__ void add_scaled(const StageOfBlocks& stage, Sums& sums) {
    unsigned a[kSteps][kTilesM][4];
#pragma unroll
    for (int step = 0; step < kSteps; step++) load_x(stage, step, a[step]);
    // Two columns of tiles at a time: registers are short.
#pragma unroll
    for (int first = 0; first < kTilesN; first += 2) {
      unsigned b[kSteps][4];
#pragma unroll
      for (int step = 0; step < kSteps; step++) load_w(stage, step, first, b[step]);
#pragma unroll
      for (int j = first; j < first + 2; j++) {
        const auto scales = load_pack<float, 2>(stage.scales + warp_column() + j * 8 + threadIdx.x % 4 * 2);
        const int low = (j - first) * 2;
#pragma unroll
        for (int i = 0; i < kTilesM; i++) {
          float products[4] = {};
#pragma unroll
          for (int step = 0; step < kSteps; step++) mma<T>(products, a[step][i], b[step][low], b[step][low + 1]);
#pragma unroll
          for (int h = 0; h < 4; h++) sums[i][j][h] += scales.at[h % 2] * products[h];
        }
      }
    }
  }

  // Fragments for 16 of k.
  static __device__ __forceinline__ void load_x(const Stage& stage, int step, unsigned (&a)[kTilesM][4]) {
    const int lane = threadIdx.x % 32, chunk = step * 16 / kChunk;
#pragma unroll
    for (int i = 0; i < kTilesM; i++)
      ldmatrix4(a[i], stage.x + swizzled(warp_row() + i * 16 + lane % 16, chunk + lane / 16));
  }
  // Of columns j low k, j high k, j + 1 low k, j + 1 high k.
  static __device__ __forceinline__ void load_w(const Stage& stage, int step, int j, unsigned (&b)[4]) {
    const int lane = threadIdx.x % 32, chunk = step * 16 / kChunk;
    const int row = warp_column() + j * 8 + lane / 16 * 8 + lane % 8;
    ldmatrix4(b, stage.w + swizzled(row, chunk + lane / 8 % 2));
  }

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

// Whether tiles of x in `dtype` can take these weights: of the same type and aligned to 16 bytes, or in blocks.
inline bool fits_tensor_cores(const Operand& w, DType dtype) {
  return isGrouped(w.dtype) ? BlockRows<8>::loadable(w) : w.dtype == dtype && packable<bf16>(w);
}

// Calls f with the type of x, T, and such weights.
template <class T, class F>
void with_weights_for(const Operand& w, F&& f) {
  with_weights(w, [&](const auto& weights) {
    using Weights = std::remove_cvref_t<decltype(weights)>;
    if constexpr (Weights::kHasBlocks || std::is_same_v<Weights, FloatRows<T>>) f(Type<T>{}, weights);
  });
}
template <class F>
void with_tensor_core_weights(DType dtype, const Operand& w, F&& f) {
  if (dtype == DType::bf16)
    with_weights_for<bf16>(w, f);
  else
    with_weights_for<f16>(w, f);
}

}  // namespace glimt
