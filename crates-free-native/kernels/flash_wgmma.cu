// Flash attention with Hopper's wgmma, for many queries: a block owns 128 query rows of one head, each of its two
// warpgroups 64 of them; 128 keys at a time. Scores come from shared memory, weights go from registers into the sums:
//   while a warpgroup turns the scores of tile j into weights, the values of tile j - 1 are still being mixed; then the
//   scores of tile j + 1 and the values of tile j are started together.
//
// At least 4 D operations a query row and visible key (half of them the scores), and the keys and values of a head once
// for every 128 rows: 4 D bytes a key, so 128 operations a byte. A tile is 2 x 128 x 128 x D multiply-adds, 2048 cycles
// of the tensor cores for D = 128, and 16384 powers of two, 1024 cycles of their units, which the order above hides in
// part. Shared memory: 161 KiB for D = 128, 81 KiB for 64; one block on a multiprocessor. Expect 0.4 to 0.6 of the
// peak for long contexts. Never measured.
#include "../runtime/launch.h"
#include "attention.h"
#include "flash.h"
#include "wgmma.h"

namespace glimt {

namespace {

constexpr int kQueries = 128, kKeys = 128, kBlock = 256;

// Rows of D elements as D / 64 matrices side by side.
template <class T, int D>
struct WgmmaFlashShared {
  T q[kQueries * D];
  T k[2][kKeys * D];
  T v[2][kKeys * D];
};

// As start_rows of flash.h, into the matrices.
template <int Rows, class T, int D, bool Paged>
__device__ __forceinline__ void start_matrix(T* to, const KeyRows<T, D, Paged>& rows, int first, int end) {
  constexpr int kChunks = D / 8;
#pragma unroll
  for (int i = 0; i < Rows * kChunks / kBlock; i++) {
    const int row = (i * kBlock + threadIdx.x) / kChunks, chunk = threadIdx.x % kChunks;
    const T* from = first + row < end ? rows.at(first + row) : nullptr;
    cp_async16(to + chunk / 8 * Rows * kWgmmaDepth + wgmma_swizzled(row, chunk % 8),
               from ? from + chunk * 8 : rows.base, from != nullptr);
  }
}

// Starts scores = queries keysᵀ.
template <class T, int D>
__device__ __forceinline__ void start_scores(float (&scores)[kKeys / 2], const T* queries, const T* keys) {
#pragma unroll
  for (int step = 0; step < D / 16; step++) {
    const uint64_t a = wgmma_step(wgmma_matrix(queries + step / 4 * kQueries * kWgmmaDepth), step % 4);
    const uint64_t b = wgmma_step(wgmma_matrix(keys + step / 4 * kKeys * kWgmmaDepth), step % 4);
    if (step == 0)
      wgmma<T, kKeys, true>(scores, a, b);
    else
      wgmma<T, kKeys>(scores, a, b);
  }
}

template <class T, int D, bool Paged>
__global__ void __launch_bounds__(kBlock, 1) flash_wgmma_kernel(FlashArguments<T> args) {
  start_kernel();
#if GLIMT_WGMMA
  using Shared = WgmmaFlashShared<T, D>;
  GLIMT_DYNAMIC_SHARED(unsigned char, memory);
  auto& shared = *reinterpret_cast<Shared*>(wgmma_atoms(&memory));
  const FlashTile tile = find_tile<kQueries>(args);
  if (tile.length == 0) return;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, head = blockIdx.y;
  // The same in all lanes, and known to be.
  const int warpgroup = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / kWarpgroup, 0);

  // Keys there are, and the position of the sequence's first query among them.
  int keys_end = tile.length, first_position = 0;
  if constexpr (Paged) {
    const int context = min(args.context_lens[tile.sequence], args.blocks * args.page_size);
    first_position = context - tile.length;
    keys_end = min(context, first_position + tile.first_row + kQueries);
  }
  KeyRows<T, D, Paged> keys, values;
  key_value_rows<T, D, Paged>(args, tile.sequence, tile.first, head / (args.heads / args.kv_heads), keys, values);
  const KeyRows<T, D, false> queries{args.q + tile.first * args.q_stride + head * D, args.q_stride, nullptr, 0, 0, 1};
  const T* mine = shared.q + warpgroup * 64 * kWgmmaDepth;

  start_matrix<kQueries>(shared.q, queries, tile.first_row, tile.length);
  start_matrix<kKeys>(shared.k[0], keys, 0, keys_end);
  cp_async_commit();
  start_matrix<kKeys>(shared.k[1], keys, kKeys, keys_end);
  start_matrix<kKeys>(shared.v[0], values, 0, keys_end);
  cp_async_commit();

  float scores[kKeys / 2], mixed[D / 2] = {};
  // Of the thread's rows: the highest score, the sum of weights (of its own keys only, until the end).
  float highest[2] = {-INFINITY, -INFINITY}, total[2] = {};
  unsigned weights[kKeys / 16][4];
  cp_async_wait<1>();
  fence_async_proxy();
  __syncthreads();
  wgmma_fence();
  start_scores<T, D>(scores, mine, shared.k[0]);
  wgmma_commit();
  wgmma_wait<0>();
  pin(scores);

  const int row = tile.first_row + warp * 16 + lane / 4;
  const int tiles = (keys_end + kKeys - 1) / kKeys;
  for (int j = 0; j < tiles; j++) {
    const int first_key = j * kKeys;
    if (first_key + kKeys > (Paged ? first_position + tile.first_row + 1 : keys_end)) {
#pragma unroll
      for (int i = 0; i < kKeys / 2; i++) {
        const int key = first_key + i / 4 * 8 + lane % 4 * 2 + i % 2;
        const int visible = Paged ? first_position + row + i % 4 / 2 * 8 + 1 : keys_end;
        if (key >= min(visible, keys_end)) scores[i] = -INFINITY;
      }
    }
    float shrink[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float most = highest[half];
#pragma unroll
      for (int i = half * 2; i < kKeys / 2; i += 4) most = fmaxf(most, fmaxf(scores[i], scores[i + 1]) * args.scale);
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
      most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
      // A row that saw no key yet: any finite number will do.
      const float base = most == -INFINITY ? 0.0f : most;
      shrink[half] = exp2f(highest[half] - base);
      highest[half] = most;
      total[half] *= shrink[half];
#pragma unroll
      for (int n = 0; n < kKeys / 8; n++)
#pragma unroll
        for (int i = n * 4 + half * 2; i < n * 4 + half * 2 + 2; i++) {
          scores[i] = exp2f(scores[i] * args.scale - base);
          total[half] += scores[i];
        }
    }
    // Until here the values of the tile before may be mixed.
    settle(total[0] + total[1]);
    wgmma_wait<0>();
    pin(mixed);
#pragma unroll
    for (int i = 0; i < D / 2; i++) mixed[i] *= shrink[i % 4 / 2];
#pragma unroll
    for (int i = 0; i < kKeys / 16; i++)
#pragma unroll
      for (int pair = 0; pair < 4; pair++)
        weights[i][pair] = pack_pair<T>(scores[i * 8 + pair * 2], scores[i * 8 + pair * 2 + 1]);
    cp_async_wait<0>();
    fence_async_proxy();
    // Keys j + 1 and values j have arrived; nobody reads keys j or values j - 1 any more.
    __syncthreads();
    if (j + 1 < tiles) {
      start_matrix<kKeys>(shared.k[j % 2], keys, first_key + 2 * kKeys, keys_end);
      start_matrix<kKeys>(shared.v[(j + 1) % 2], values, first_key + kKeys, keys_end);
    }
    cp_async_commit();
    pin(mixed);
    pin(weights);
    wgmma_fence();
    // Past the last tile: zeros, whose scores nobody looks at.
    start_scores<T, D>(scores, mine, shared.k[(j + 1) % 2]);
    wgmma_commit();
#pragma unroll
    for (int i = 0; i < kKeys / 16; i++)
      wgmma_fragment<T, D>(mixed, weights[i],
                           wgmma_columns(shared.v[j % 2] + i * 16 * kWgmmaDepth, kKeys * kWgmmaDepth * sizeof(T)));
    wgmma_commit();
    wgmma_wait<1>();
    pin(scores);
  }
  wgmma_wait<0>();
  pin(mixed);
  cp_async_wait<0>();

#pragma unroll
  for (int half = 0; half < 2; half++) {
    total[half] += __shfl_xor_sync(kAllLanes, total[half], 1);
    total[half] += __shfl_xor_sync(kAllLanes, total[half], 2);
    if (row + half * 8 >= tile.length) continue;
    const float factor = 1.0f / total[half];
    T* to = args.y + (tile.first + row + half * 8) * args.y_stride + head * D + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < D / 8; n++)
      *reinterpret_cast<unsigned*>(to + n * 8) =
          pack_pair<T>(mixed[n * 4 + half * 2] * factor, mixed[n * 4 + half * 2 + 1] * factor);
  }
#else
  // Never launched where this is all there is.
  __trap();
#endif
}

template <class T, int D>
void launch_flash_wgmma(const KernelContext& context, const AttentionCall& call) {
  const auto launch = [&](const char* name, auto kernel) {
    // Each sequence may end in a tile that is not full.
    const dim3 grid(static_cast<unsigned>(call.q.rows / kQueries + call.sequences), call.heads);
    rt::launch(context.stream, name, kernel, grid, kBlock, sizeof(WgmmaFlashShared<T, D>) + kWgmmaAtom,
               flash_arguments<T>(call));
  };
  if (call.paged)
    launch("flash_wgmma_paged", flash_wgmma_kernel<T, D, true>);
  else
    launch("flash_wgmma_varlen", flash_wgmma_kernel<T, D, false>);
}

}  // namespace

bool flash_wgmma_fits(const KernelTerms& terms, const AttentionCall& call) {
  return terms.has_wgmma && (call.head_dim == 64 || call.head_dim == 128) && flash_fits(terms, call);
}

bool flash_wgmma_pays(const KernelTerms& terms, const AttentionCall& call) {
  return terms.uses_wgmma && call.q.rows >= call.sequences * kQueries;
}

void flash_wgmma(const KernelContext& context, const AttentionCall& call) {
  const bool wide = call.head_dim == 128;
  if (call.q.dtype == DType::bf16)
    wide ? launch_flash_wgmma<bf16, 128>(context, call) : launch_flash_wgmma<bf16, 64>(context, call);
  else
    wide ? launch_flash_wgmma<f16, 128>(context, call) : launch_flash_wgmma<f16, 64>(context, call);
}

}  // namespace glimt
