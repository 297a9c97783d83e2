// attention_weights: how much a row of q attends to each key of the paged cache, the mean over its heads. A block a row and
// head makes softmax(scale q kᵀ) of it in workspace, a warp a key; then a block adds those of all heads up, key by key, in the
// heads' order. No row reads what another one made, and every sum has one order.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "index_checks.h"

namespace glimt {

namespace {

using Attrs = program::op_attention_weights::Attrs;

constexpr int kBlock = 256, kWarps = kBlock / 32;

struct WeightsArguments {
  int64_t q_stride, keys, pages;
  // Rows of block_table, and their length.
  int tables, blocks;
  const int32_t *block_table, *sequences, *lengths;
  int heads, kv_heads, head_dim, page_size;
  float scale;
  // [rows, heads, keys]
  float* scores;
  // [rows, keys]
  float* weights;

  // Indices in host memory were checked; those in device memory may say anything.
  __device__ __forceinline__ int64_t length(int64_t row) const {
    return min(max(int64_t{lengths[row]}, int64_t{0}), keys);
  }
};

// What `combine` makes of a value of each thread of the block, for all of them.
template <class F>
__device__ __forceinline__ float over_block(float value, F combine) {
  GLIMT_SHARED(float, values, kBlock);
  __syncthreads();
  values[threadIdx.x] = value;
  for (int step = kBlock / 2; step > 0; step /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < step)
      values[threadIdx.x] = combine(values[threadIdx.x], values[threadIdx.x + step]);
  }
  __syncthreads();
  return values[0];
}

template <class T>
__global__ void __launch_bounds__(kBlock) weigh_head_kernel(const T* q, const T* cache, WeightsArguments args) {
  start_kernel();
  const int64_t row = blockIdx.x, count = args.length(row);
  const int head = blockIdx.y, kv_head = head / (args.heads / args.kv_heads), lane = threadIdx.x % 32;
  const int table = min(max(args.sequences[row], 0), args.tables - 1);
  const T* query = q + row * args.q_stride + int64_t{head} * args.head_dim;
  const int64_t plane = int64_t{args.page_size} * args.head_dim;
  float* scores = args.scores + (row * args.heads + head) * args.keys;
  for (int64_t p = threadIdx.x / 32; p < count; p += kWarps) {
    const int64_t page = args.block_table[int64_t{table} * args.blocks + p / args.page_size];
    float score = -INFINITY;
    if (page >= 0 && page < args.pages) {
      const T* key = cache + (page * 2 * args.kv_heads + kv_head) * plane + p % args.page_size * args.head_dim;
      score = 0;
      for (int c = lane; c < args.head_dim; c += 32) score += widen(query[c]) * args.scale * widen(key[c]);
      score = warp_sum(score);
    }
    if (lane == 0) scores[p] = score;
  }
  __syncthreads();
  float highest = -INFINITY, total = 0;
  for (int64_t p = threadIdx.x; p < count; p += kBlock) highest = fmaxf(highest, scores[p]);
  highest = over_block(highest, [](float a, float b) { return fmaxf(a, b); });
  // A NaN score makes a NaN of the sum: it must reach the output.
  for (int64_t p = threadIdx.x; p < count; p += kBlock) {
    scores[p] = expf(scores[p] - highest);
    total += scores[p];
  }
  total = over_block(total, [](float a, float b) { return a + b; });
  for (int64_t p = threadIdx.x; p < count; p += kBlock) scores[p] /= total;
}

__global__ void __launch_bounds__(kBlock) mean_of_heads_kernel(WeightsArguments args) {
  start_kernel();
  const int64_t row = blockIdx.x, p = int64_t{blockIdx.y} * kBlock + threadIdx.x;
  if (p >= args.keys) return;
  float sum = 0;
  if (p < args.length(row))
    for (int head = 0; head < args.heads; head++) sum += args.scores[(row * args.heads + head) * args.keys + p];
  args.weights[row * args.keys + p] = sum / args.heads;
}

void attention_weights(const KernelContext& context, const Call& call) {
  const Operand &q = call.in[0], &cache = call.in[1], &table = call.in[2], &weights = call.out[0];
  if (weights.rows == 0 || weights.cols == 0) return;
  const auto& attrs = call.attrs<Attrs>();
  WeightsArguments args{};
  args.q_stride = q.stride;
  args.keys = weights.cols;
  args.pages = cache.rows;
  args.tables = static_cast<int>(table.rows);
  args.blocks = static_cast<int>(table.cols);
  args.block_table = table.as<const int32_t>();
  args.sequences = call.in[3].as<const int32_t>();
  args.lengths = call.in[4].as<const int32_t>();
  args.heads = static_cast<int>(attrs.numHeads);
  args.kv_heads = static_cast<int>(attrs.numKvHeads);
  args.head_dim = static_cast<int>(attrs.headDim);
  args.page_size = static_cast<int>(attrs.pageSize);
  args.scale = attrs.scale;
  args.scores = static_cast<float*>(context.workspace);
  args.weights = weights.as<float>();
  const auto rows = static_cast<unsigned>(weights.rows);
  with_float_type(q.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    rt::launch(context.stream, "attention_weights:head", weigh_head_kernel<T>, dim3(rows, attrs.numHeads), kBlock, 0,
               q.as<const T>(), cache.as<const T>(), args);
  });
  rt::launch(context.stream, "attention_weights:mean", mean_of_heads_kernel,
             dim3(rows, rt::blocks_for(weights.cols, kBlock)), kBlock, 0, args);
}

void check_rows(const Call& call) {
  const Operand& table = call.in[2];
  const uint32_t page_size = call.attrs<Attrs>().pageSize;
  check_all(call, 3, "sequence", table.rows);
  check_all(call, 4, "length", table.cols * page_size + 1);
  const int32_t *blocks = call.host[2], *sequences = call.host[3], *lengths = call.host[4];
  if (!blocks || !sequences || !lengths) return;
  for (int64_t row = 0; row < call.out[0].rows; row++)
    for (int64_t block = 0; block * page_size < lengths[row]; block++)
      check_index(call, "page", blocks[sequences[row] * table.cols + block], call.in[1].rows);
}

}  // namespace

constexpr OpEntry kAttentionWeights{
    [](const KernelContext& context, const Call& call) { attention_weights(context, call); },
    [](const KernelTerms&, const Call& call) {
      return sizeof(float) * static_cast<size_t>(call.out[0].rows) * call.attrs<Attrs>().numHeads *
             static_cast<size_t>(call.out[0].cols);
    },
    check_rows};

}  // namespace glimt
