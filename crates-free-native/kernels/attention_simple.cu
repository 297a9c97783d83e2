// y = softmax(scale q kᵀ) v for any storage type and head size: one warp a query row and head. 32 keys at a time: lane l
// computes the score of key l; then each lane sums its columns of the 32 values. Running maximum and sum as in flash
// attention, so nothing of the size keys x queries is stored. A row that belongs to no sequence is left alone.
#include "../runtime/launch.h"
#include "attention.h"
#include "dispatch.h"

namespace glimt {

namespace {

constexpr int kBlock = 128, kWarps = kBlock / 32, kMaxHeadDim = 512;

template <class T>
struct SimpleArguments {
  const T *q, *k, *v;
  T* y;
  int64_t q_stride, k_stride, v_stride, y_stride, rows, pages;
  const int32_t *block_table, *context_lens, *cu_seqlens;
  int sequences, blocks, heads, kv_heads, head_dim, page_size;
  bool paged;
  float scale;
};

// The sequence that row `row` belongs to: the last whose first row is not after it; -1 when there is none.
__device__ __forceinline__ int find_sequence(const int32_t* cu_seqlens, int sequences, int64_t row) {
  int low = 0, high = sequences;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (cu_seqlens[middle + 1] <= row)
      low = middle + 1;
    else
      high = middle;
  }
  return low < sequences && cu_seqlens[low] <= row ? low : -1;
}

template <class T>
__global__ void __launch_bounds__(kBlock) attention_simple_kernel(SimpleArguments<T> args) {
  start_kernel();
  GLIMT_SHARED(float, queries, kWarps* kMaxHeadDim);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t unit = int64_t{blockIdx.x} * kWarps + warp;
  const int64_t row = unit / args.heads;
  const int head = static_cast<int>(unit % args.heads);
  if (row >= args.rows) return;
  const int sequence = find_sequence(args.cu_seqlens, args.sequences, row);
  if (sequence < 0) return;
  const int64_t first = args.cu_seqlens[sequence], end = args.cu_seqlens[sequence + 1];
  const int kv_head = head / (args.heads / args.kv_heads);
  int64_t visible = end - first;
  if (args.paged) {
    visible = args.context_lens[sequence] - (end - 1 - row);
    visible = min(visible, int64_t{args.blocks} * args.page_size);
  }
  float* query = queries + warp * kMaxHeadDim;
  for (int c = lane; c < args.head_dim; c += 32)
    query[c] = widen(args.q[row * args.q_stride + head * args.head_dim + c]) * args.scale;
  __syncwarp();

  // Key and value of a position; null when its page does not exist.
  const auto place = [&](int64_t position, const T*& key, const T*& value) {
    if (!args.paged) {
      key = args.k + (first + position) * args.k_stride + kv_head * args.head_dim;
      value = args.v + (first + position) * args.v_stride + kv_head * args.head_dim;
      return;
    }
    const int64_t page = args.block_table[int64_t{sequence} * args.blocks + position / args.page_size];
    const int64_t plane = int64_t{args.page_size} * args.head_dim;
    key = args.k + (page * 2 * args.kv_heads + kv_head) * plane + position % args.page_size * args.head_dim;
    value = key + args.kv_heads * plane;
    if (page < 0 || page >= args.pages) key = nullptr;
  };

  float highest = -INFINITY, total = 0, mixed[kMaxHeadDim / 32] = {};
  for (int64_t start = 0; start < visible; start += 32) {
    float score = -INFINITY;
    const T *key = nullptr, *value = nullptr;
    if (start + lane < visible) place(start + lane, key, value);
    if (key) {
      score = 0;
      for (int c = 0; c < args.head_dim; c++) score += query[c] * widen(key[c]);
    }
    const float now = fmaxf(highest, warp_max(score));
    const float shrink = now == -INFINITY ? 1.0f : expf(highest - now);
    // A NaN score makes a NaN weight: it must reach the output.
    const float weight = score == -INFINITY ? 0.0f : expf(score - now);
    total = total * shrink + warp_sum(weight);
    for (float& part : mixed) part *= shrink;
    highest = now;
    for (int j = 0; j < 32 && start + j < visible; j++) {
      const float share = __shfl_sync(kAllLanes, weight, j);
      place(start + j, key, value);
      if (!key) continue;
#pragma unroll
      for (int c = 0; c < kMaxHeadDim / 32; c++)
        if (c * 32 + lane < args.head_dim) mixed[c] += share * widen(value[c * 32 + lane]);
    }
  }
  T* y = args.y + row * args.y_stride + head * args.head_dim;
#pragma unroll
  for (int c = 0; c < kMaxHeadDim / 32; c++)
    if (c * 32 + lane < args.head_dim) y[c * 32 + lane] = narrow<T>(mixed[c] / total);
}

}  // namespace

void attention_simple(const KernelContext& context, const AttentionCall& call) {
  if (call.head_dim > kMaxHeadDim)
    throw Error("PROGRAM_INVALID", "cuda: attention has no kernel for heads of " + std::to_string(call.head_dim) +
                                       " columns; the largest is " + std::to_string(kMaxHeadDim) + ".");
  const Operand &q = call.q, &y = call.y;
  if (q.rows == 0 || q.cols == 0 || call.sequences == 0) return;
  with_float_type(q.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const bool paged = call.paged;
    SimpleArguments<T> args{};
    args.q = q.as<const T>();
    args.k = paged ? call.cache.as<const T>() : call.k.as<const T>();
    args.v = call.v.as<const T>();
    args.y = y.as<T>();
    args.q_stride = q.stride;
    args.k_stride = call.k.stride;
    args.v_stride = call.v.stride;
    args.y_stride = y.stride;
    args.rows = q.rows;
    args.pages = call.cache.rows;
    args.block_table = call.block_table;
    args.context_lens = call.context_lens;
    args.cu_seqlens = call.cu_seqlens;
    args.sequences = static_cast<int>(call.sequences);
    args.blocks = static_cast<int>(call.blocks);
    args.heads = call.heads;
    args.kv_heads = call.kv_heads;
    args.head_dim = call.head_dim;
    args.page_size = call.page_size;
    args.paged = paged;
    args.scale = call.scale;
    rt::launch(context.stream, "attention_simple", attention_simple_kernel<T>,
               rt::blocks_for(q.rows * call.heads, kWarps), kBlock, 0, args);
  });
}

}  // namespace glimt
