// Device code that the tensor core attention kernels share: tiles of keys and values in shared memory, scores, the
// running softmax, the weighted sum of values.
//
// A warp owns 16 query rows. Lane l holds rows l / 4 and l / 4 + 8 of them, in the layout of mma.sync's accumulator.
#pragma once
#include "attention.h"
#include "tensor_core.h"

namespace glimt {

// Elements between rows in shared memory: an odd number of 16-byte chunks, so that ldmatrix meets no bank twice.
template <int D>
constexpr int kPitch = D + 8;

template <class T>
struct FlashArguments {
  const T *q, *k, *v, *cache;
  T* y;
  int64_t q_stride, k_stride, v_stride, y_stride, rows, pages;
  const int32_t *block_table, *context_lens, *cu_seqlens;
  int sequences, blocks, heads, kv_heads, page_size;
  // scale * log2(e): weights are powers of two.
  float scale;
};

template <class T>
FlashArguments<T> flash_arguments(const AttentionCall& call) {
  FlashArguments<T> args{};
  args.q = call.q.as<const T>();
  args.k = call.k.as<const T>();
  args.v = call.v.as<const T>();
  args.cache = call.cache.as<const T>();
  args.y = call.y.as<T>();
  args.q_stride = call.q.stride;
  args.k_stride = call.k.stride;
  args.v_stride = call.v.stride;
  args.y_stride = call.y.stride;
  args.rows = call.q.rows;
  args.pages = call.cache.rows;
  args.block_table = call.block_table;
  args.context_lens = call.context_lens;
  args.cu_seqlens = call.cu_seqlens;
  args.sequences = static_cast<int>(call.sequences);
  args.blocks = static_cast<int>(call.blocks);
  args.heads = call.heads;
  args.kv_heads = call.kv_heads;
  args.page_size = call.page_size;
  args.scale = call.scale * 1.44269504f;
  return args;
}

// Keys (or values) of one head of one sequence, by position.
template <class T, int D, bool Paged>
struct KeyRows {
  const T* base;
  int64_t stride;
  const int32_t* pages;
  int64_t page_count, page_stride;
  int page_size;

  // The row of a position; null when its page does not exist.
  __device__ __forceinline__ const T* at(int position) const {
    if constexpr (!Paged) {
      return base + position * stride;
    } else {
      const int64_t page = pages[position / page_size];
      if (page < 0 || page >= page_count) return nullptr;
      return base + page * page_stride + position % page_size * D;
    }
  }
};

template <class T, int D, bool Paged>
__device__ __forceinline__ void key_value_rows(const FlashArguments<T>& args, int sequence, int64_t first_row,
                                               int kv_head, KeyRows<T, D, Paged>& keys, KeyRows<T, D, Paged>& values) {
  if constexpr (Paged) {
    const int64_t plane = int64_t{args.page_size} * D;
    keys = {args.cache + kv_head * plane, 0, args.block_table + int64_t{sequence} * args.blocks, args.pages,
            2 * args.kv_heads * plane,    args.page_size};
    values = keys;
    values.base += args.kv_heads * plane;
  } else {
    keys = {args.k + first_row * args.k_stride + kv_head * D, args.k_stride, nullptr, 0, 0, 1};
    values = {args.v + first_row * args.v_stride + kv_head * D, args.v_stride, nullptr, 0, 0, 1};
  }
}

// The query rows of a block of a prefill kernel.
struct FlashTile {
  int sequence;
  // First row of the sequence, and how many it has; 0 when there is no tile for this block.
  int64_t first;
  int length;
  // Of the tile, in the sequence.
  int first_row;
};

template <int Rows, class T>
__device__ __forceinline__ FlashTile find_tile(const FlashArguments<T>& args) {
  // The last tiles of causal sequences see the most keys: they start first.
  int tile = gridDim.x - 1 - blockIdx.x;
  for (int sequence = 0; sequence < args.sequences; sequence++) {
    const int64_t first = args.cu_seqlens[sequence];
    const int length = static_cast<int>(min(int64_t{args.cu_seqlens[sequence + 1]}, args.rows) - first);
    const int tiles = (length + Rows - 1) / Rows;
    if (tile < tiles) return {sequence, first, first < 0 ? 0 : length, tile * Rows};
    tile -= max(tiles, 0);
  }
  return {0, 0, 0, 0};
}

// Starts copying `Rows` rows from position `first`; rows from `end` on become zero (what lies there may be NaN).
template <int Rows, int Threads, class T, int D, bool Paged>
__device__ __forceinline__ void start_rows(T* to, const KeyRows<T, D, Paged>& rows, int first, int end, int thread) {
  constexpr int kChunks = D / 8;
#pragma unroll
  for (int i = thread; i < Rows * kChunks; i += Threads) {
    const int row = i / kChunks, column = i % kChunks * 8;
    const T* from = first + row < end ? rows.at(first + row) : nullptr;
    cp_async16(to + row * kPitch<D> + column, from ? from + column : rows.base, from != nullptr);
  }
}

// A fragments of 16 rows of D columns.
template <class T, int D>
__device__ __forceinline__ void load_queries(unsigned (&fragments)[D / 16][4], const T* rows, int lane) {
#pragma unroll
  for (int k = 0; k < D / 16; k++) ldmatrix4(fragments[k], rows + lane % 16 * kPitch<D> + k * 16 + lane / 16 * 8);
}

// scores = queries keysᵀ for `Keys` keys.
template <int Keys, class T, int D>
__device__ __forceinline__ void score_keys(float (&scores)[Keys / 8][4], const unsigned (&queries)[D / 16][4],
                                           const T* keys, int lane) {
#pragma unroll
  for (int j = 0; j < Keys / 8; j++)
#pragma unroll
    for (int i = 0; i < 4; i++) scores[j][i] = 0;
#pragma unroll
  for (int k = 0; k < D / 16; k++) {
#pragma unroll
    for (int j = 0; j < Keys / 8; j += 2) {
      unsigned b[4];
      ldmatrix4(b, keys + (j * 8 + lane / 16 * 8 + lane % 8) * kPitch<D> + k * 16 + lane / 8 % 2 * 8);
      mma<T>(scores[j], queries[k], b[0], b[1]);
      mma<T>(scores[j + 1], queries[k], b[2], b[3]);
    }
  }
}

// The state of a warp's 16 rows.
template <int D>
struct Rows {
  float mixed[D / 8][4] = {};
  // Of the rows l / 4 and l / 4 + 8: the highest score, the sum of weights (of this lane's keys only, until `finish`).
  float highest[2] = {-INFINITY, -INFINITY};
  float total[2] = {0, 0};

  __device__ __forceinline__ void finish() {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      total[half] += __shfl_xor_sync(kAllLanes, total[half], 1);
      total[half] += __shfl_xor_sync(kAllLanes, total[half], 2);
    }
  }
};

// Turns scores into weights 2^(score scale - highest), and rescales what was summed so far.
template <int Keys, int D>
__device__ __forceinline__ void weigh(float (&scores)[Keys / 8][4], Rows<D>& rows, float scale) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float highest = rows.highest[half];
#pragma unroll
    for (int j = 0; j < Keys / 8; j++)
      highest = fmaxf(highest, fmaxf(scores[j][half * 2], scores[j][half * 2 + 1]) * scale);
    highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, 1));
    highest = fmaxf(highest, __shfl_xor_sync(kAllLanes, highest, 2));
    // A row that saw no key yet: any finite number will do.
    const float base = highest == -INFINITY ? 0.0f : highest;
    const float shrink = exp2f(rows.highest[half] - base);
    rows.highest[half] = highest;
    rows.total[half] *= shrink;
#pragma unroll
    for (int n = 0; n < D / 8; n++) {
      rows.mixed[n][half * 2] *= shrink;
      rows.mixed[n][half * 2 + 1] *= shrink;
    }
#pragma unroll
    for (int j = 0; j < Keys / 8; j++)
#pragma unroll
      for (int i = half * 2; i < half * 2 + 2; i++) {
        scores[j][i] = exp2f(scores[j][i] * scale - base);
        rows.total[half] += scores[j][i];
      }
  }
}

// mixed += weights values.
template <int Keys, class T, int D>
__device__ __forceinline__ void mix_values(Rows<D>& rows, const float (&weights)[Keys / 8][4], const T* values,
                                           int lane) {
#pragma unroll
  for (int k = 0; k < Keys / 16; k++) {
    const unsigned a[4] = {pack_pair<T>(weights[2 * k][0], weights[2 * k][1]),
                           pack_pair<T>(weights[2 * k][2], weights[2 * k][3]),
                           pack_pair<T>(weights[2 * k + 1][0], weights[2 * k + 1][1]),
                           pack_pair<T>(weights[2 * k + 1][2], weights[2 * k + 1][3])};
#pragma unroll
    for (int n = 0; n < D / 8; n += 2) {
      unsigned b[4];
      ldmatrix4_transposed(b, values + (k * 16 + lane % 16) * kPitch<D> + n * 8 + lane / 16 * 8);
      mma<T>(rows.mixed[n], a, b[0], b[1]);
      mma<T>(rows.mixed[n + 1], a, b[2], b[3]);
    }
  }
}

// ---- prefill: a block owns 64 query rows of one head, a warp 16 of them; 64 keys at a time ----

constexpr int kTileRows = 64, kTileKeys = 64, kFlashBlock = 128;

template <class T, int D>
struct FlashShared {
  T q[kTileRows * kPitch<D>];
  T k[kTileKeys * kPitch<D>];
  T v[kTileKeys * kPitch<D>];
};

// While scores are computed the values of the tile travel, while values are mixed the next keys do.
template <class T, int D, bool Paged>
__global__ void __launch_bounds__(kFlashBlock, 2) flash_kernel(FlashArguments<T> args) {
  start_kernel();
  using Shared = FlashShared<T, D>;
  GLIMT_DYNAMIC_SHARED(Shared, shared);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, head = blockIdx.y;
  const FlashTile tile = find_tile<kTileRows>(args);
  if (tile.length == 0) return;
  const int64_t first = tile.first;
  const int sequence = tile.sequence, length = tile.length;

  const int first_row = tile.first_row;
  // Keys there are, and the position of the sequence's first query among them.
  int keys_end = length, first_position = 0;
  if constexpr (Paged) {
    const int context = min(args.context_lens[sequence], args.blocks * args.page_size);
    first_position = context - length;
    keys_end = min(context, first_position + first_row + kTileRows);
  }
  KeyRows<T, D, Paged> keys, values;
  key_value_rows<T, D, Paged>(args, sequence, first, head / (args.heads / args.kv_heads), keys, values);
  const KeyRows<T, D, false> queries{args.q + first * args.q_stride + head * D, args.q_stride, nullptr, 0, 0, 1};

  start_rows<kTileRows, kFlashBlock>(shared.q, queries, first_row, length, threadIdx.x);
  start_rows<kTileKeys, kFlashBlock>(shared.k, keys, 0, keys_end, threadIdx.x);
  cp_async_commit();
  unsigned query[D / 16][4];
  Rows<D> rows;
  const int row = first_row + warp * 16 + lane / 4;
  const int tiles = (keys_end + kTileKeys - 1) / kTileKeys;
  for (int j = 0; j < tiles; j++) {
    const int first_key = j * kTileKeys;
    cp_async_wait<0>();
    __syncthreads();
    if (j == 0) load_queries<T, D>(query, shared.q + warp * 16 * kPitch<D>, lane);
    start_rows<kTileKeys, kFlashBlock>(shared.v, values, first_key, keys_end, threadIdx.x);
    cp_async_commit();

    float scores[kTileKeys / 8][4];
    score_keys<kTileKeys, T, D>(scores, query, shared.k, lane);
    const bool all_visible = first_key + kTileKeys <= (Paged ? first_position + first_row + 1 : keys_end);
    if (!all_visible) {
#pragma unroll
      for (int n = 0; n < kTileKeys / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int key = first_key + n * 8 + lane % 4 * 2 + i % 2;
          const int visible = Paged ? first_position + row + i / 2 * 8 + 1 : keys_end;
          if (key >= min(visible, keys_end)) scores[n][i] = -INFINITY;
        }
    }
    cp_async_wait<0>();
    __syncthreads();
    if (j + 1 < tiles) start_rows<kTileKeys, kFlashBlock>(shared.k, keys, first_key + kTileKeys, keys_end, threadIdx.x);
    cp_async_commit();
    weigh<kTileKeys, D>(scores, rows, args.scale);
    mix_values<kTileKeys, T, D>(rows, scores, shared.v, lane);
  }
  cp_async_wait<0>();

  rows.finish();
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (row + half * 8 >= length) continue;
    const float factor = 1.0f / rows.total[half];
    T* to = args.y + (first + row + half * 8) * args.y_stride + head * D + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < D / 8; n++)
      *reinterpret_cast<unsigned*>(to + n * 8) =
          pack_pair<T>(rows.mixed[n][half * 2] * factor, rows.mixed[n][half * 2 + 1] * factor);
  }
}

// Calls f with the head size as a constant; false when there is no kernel for it.
template <class F>
bool with_head_dim(int head_dim, F&& f) {
  switch (head_dim) {
    case 16:
      f(std::integral_constant<int, 16>{});
      return true;
    case 64:
      f(std::integral_constant<int, 64>{});
      return true;
    case 96:
      f(std::integral_constant<int, 96>{});
      return true;
    case 128:
      f(std::integral_constant<int, 128>{});
      return true;
  }
  return false;
}

}  // namespace glimt
