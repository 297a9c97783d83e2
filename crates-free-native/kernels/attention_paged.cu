// attention_paged: causal grouped-query attention over a paged cache.
// Prefill (many queries a sequence): flash attention on tensor cores, flash.h.
// Decode (about one): limited by reading the cache once. A block owns one sequence, one key head and one of `splits`
// parts of the context; the query heads of the group are the 16 rows of the tensor core tile, so each key is read once
// for all of them. Its four warps take 16 keys in turn, each with its own double buffer and running softmax; the warps
// meet in shared memory, the splits in a second kernel:
//   y = sum_i 2^(h_i - h) mixed_i / sum_i 2^(h_i - h) total_i,   h = max_i h_i.
// A part in workspace: mixed[D], highest, total, for [query row, head, split].
#include "attention.h"
#include "flash_launch.h"

namespace glimt {

namespace {

constexpr int kWarps = 4, kDecodeBlock = kWarps * 32, kWarpKeys = 16, kBuffers = 2, kMaxSplits = 64;
// Up to so many queries a sequence on average the decode kernel runs; it is right for any number.
constexpr int64_t kDecodeQueries = 2;

template <class T, int D>
struct WarpShared {
  T k[kBuffers][kWarpKeys * kPitch<D>];
  T v[kBuffers][kWarpKeys * kPitch<D>];
};

template <class T, int D>
struct DecodeShared {
  T q[16 * kPitch<D>];
  WarpShared<T, D> warps[kWarps];
  // What each warp ends with; highest and total of its 16 rows.
  float highest[kWarps][16], total[kWarps][16];
  float mixed[16][D];
};

template <class T, int D>
__global__ void __launch_bounds__(kDecodeBlock, 2) flash_decode_kernel(FlashArguments<T> args) {
  start_kernel();
  using Shared = DecodeShared<T, D>;
  GLIMT_DYNAMIC_SHARED(Shared, shared);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int group = args.heads / args.kv_heads, tiles_of_heads = (group + 15) / 16;
  const int split = blockIdx.x, kv_head = blockIdx.y / tiles_of_heads, sequence = blockIdx.z;
  const int first_head = kv_head * group + blockIdx.y % tiles_of_heads * 16;
  const int heads = min(16, (kv_head + 1) * group - first_head);
  const int64_t first = args.cu_seqlens[sequence], end = min(int64_t{args.cu_seqlens[sequence + 1]}, args.rows);
  const int context = min(args.context_lens[sequence], args.blocks * args.page_size);
  if (first < 0) return;

  KeyRows<T, D, true> keys, values;
  key_value_rows<T, D, true>(args, sequence, first, kv_head, keys, values);
  WarpShared<T, D>& mine = shared.warps[warp];
  for (int64_t query_row = first; query_row < end; query_row++) {
    const int visible = context - static_cast<int>(end - 1 - query_row);
    const int per_split = ((visible + args.splits - 1) / args.splits + 63) / 64 * 64;
    const int begin = split * per_split, stop = min(begin + per_split, visible);
    // Rows of the tile are heads: D elements apart.
    const KeyRows<T, D, false> queries{args.q + query_row * args.q_stride + first_head * D, D, nullptr, 0, 0, 1};
    start_rows<16, kDecodeBlock>(shared.q, queries, 0, heads, threadIdx.x);
    const auto start = [&](int tile) {
      const int key = begin + (tile * kWarps + warp) * kWarpKeys;
      if (key < stop) {
        start_rows<kWarpKeys, 32>(mine.k[tile % kBuffers], keys, key, stop, lane);
        start_rows<kWarpKeys, 32>(mine.v[tile % kBuffers], values, key, stop, lane);
      }
      cp_async_commit();
    };
    start(0);
    start(1);
    // The first group holds the queries too, of all threads.
    cp_async_wait<1>();
    __syncthreads();
    unsigned query[D / 16][4];
    load_queries<T, D>(query, shared.q, lane);

    Rows<D> rows;
    for (int tile = 0; begin + (tile * kWarps + warp) * kWarpKeys < stop; tile++) {
      const int key = begin + (tile * kWarps + warp) * kWarpKeys;
      cp_async_wait<1>();
      __syncwarp();
      float scores[kWarpKeys / 8][4];
      score_keys<kWarpKeys, T, D>(scores, query, mine.k[tile % kBuffers], lane);
      if (key + kWarpKeys > stop) {
#pragma unroll
        for (int n = 0; n < kWarpKeys / 8; n++)
#pragma unroll
          for (int i = 0; i < 4; i++)
            if (key + n * 8 + lane % 4 * 2 + i % 2 >= stop) scores[n][i] = -INFINITY;
      }
      weigh<kWarpKeys, D>(scores, rows, args.scale);
      mix_values<kWarpKeys, T, D>(rows, scores, mine.v[tile % kBuffers], lane);
      __syncwarp();
      start(tile + 2);
    }
    cp_async_wait<0>();
    rows.finish();

    // The warps meet: each scales by its distance from the highest of all, then they add in turn.
    if (lane % 4 == 0) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        shared.highest[warp][lane / 4 + half * 8] = rows.highest[half];
        shared.total[warp][lane / 4 + half * 8] = rows.total[half];
      }
    }
    __syncthreads();
    float highest[2], total[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = lane / 4 + half * 8;
      highest[half] = -INFINITY;
      for (int w = 0; w < kWarps; w++) highest[half] = fmaxf(highest[half], shared.highest[w][row]);
      total[half] = 0;
      for (int w = 0; w < kWarps; w++)
        if (shared.highest[w][row] != -INFINITY)
          total[half] += shared.total[w][row] * exp2f(shared.highest[w][row] - highest[half]);
    }
    for (int turn = 0; turn < kWarps; turn++) {
      if (turn == warp) {
#pragma unroll
        for (int n = 0; n < D / 8; n++)
#pragma unroll
          for (int i = 0; i < 4; i++) {
            const float factor =
                rows.highest[i / 2] == -INFINITY ? 0.0f : exp2f(rows.highest[i / 2] - highest[i / 2]);
            float& sum = shared.mixed[lane / 4 + i / 2 * 8][n * 8 + lane % 4 * 2 + i % 2];
            // A NaN weight makes `highest` no NaN but the sums: they must get through.
            sum = (turn == 0 ? 0.0f : sum) + rows.mixed[n][i] * factor;
          }
      }
      __syncthreads();
    }
    // Threads 4 r .. 4 r + 3 of a warp know the totals of rows r and r + 8: they publish them.
    if (warp == 0 && lane % 4 == 0) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        shared.highest[0][lane / 4 + half * 8] = highest[half];
        shared.total[0][lane / 4 + half * 8] = total[half];
      }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < heads * D; i += kDecodeBlock) {
      const int row = i / D, column = i % D;
      if (args.splits == 1) {
        args.y[query_row * args.y_stride + (first_head + row) * D + column] =
            narrow<T>(shared.mixed[row][column] / shared.total[0][row]);
        continue;
      }
      float* part = args.parts + ((query_row * args.heads + first_head + row) * args.splits + split) * (D + 2);
      part[column] = shared.mixed[row][column];
      if (column == 0) {
        part[D] = shared.highest[0][row];
        part[D + 1] = shared.total[0][row];
      }
    }
    // The next row's queries and results reuse the memory.
    __syncthreads();
  }
}

// One block a query row and head, one thread a column.
template <class T, int D>
__global__ void __launch_bounds__(D < 32 ? 32 : D) flash_combine_kernel(FlashArguments<T> args) {
  start_kernel();
  const int64_t row = blockIdx.x;
  const int head = blockIdx.y, column = threadIdx.x;
  // Rows of no sequence hold nothing.
  if (row < args.cu_seqlens[0] || row >= args.cu_seqlens[args.sequences] || column >= D) return;
  const float* parts = args.parts + (row * args.heads + head) * args.splits * (D + 2);
  float highest = -INFINITY;
  for (int split = 0; split < args.splits; split++) highest = fmaxf(highest, parts[split * (D + 2) + D]);
  float mixed = 0, total = 0;
  for (int split = 0; split < args.splits; split++) {
    const float* part = parts + split * (D + 2);
    if (part[D] == -INFINITY) continue;
    const float factor = exp2f(part[D] - highest);
    mixed += part[column] * factor;
    total += part[D + 1] * factor;
  }
  args.y[row * args.y_stride + head * D + column] = narrow<T>(mixed / total);
}

int decode_splits(int64_t tokens, int64_t sequences, int64_t longest, int heads, int kv_heads, int multiprocessors) {
  if (tokens > sequences * kDecodeQueries) return 1;
  const int64_t blocks = sequences * kv_heads * ((heads / kv_heads + 15) / 16);
  const int64_t wanted = (int64_t{2} * multiprocessors + blocks - 1) / blocks;
  const int64_t most = (longest + 63) / 64;
  return static_cast<int>(max(int64_t{1}, min(min(wanted, most), int64_t{kMaxSplits})));
}

template <class T>
void launch_decode(const KernelContext& context, const AttentionInput& input) {
  with_head_dim(input.head_dim, [&](auto size) {
    constexpr int kHeadDim = decltype(size)::value;
    FlashArguments<T> args = flash_arguments<T>(input);
    args.splits = decode_splits(input.q.rows, input.sequences, input.blocks * input.page_size, input.heads,
                                input.kv_heads, context.multiprocessors);
    args.parts = static_cast<float*>(context.workspace);
    const int tiles_of_heads = (input.heads / input.kv_heads + 15) / 16;
    const dim3 grid(args.splits, input.kv_heads * tiles_of_heads, static_cast<unsigned>(input.sequences));
    rt::launch(context.stream, "flash_decode", flash_decode_kernel<T, kHeadDim>, grid, kDecodeBlock,
               sizeof(DecodeShared<T, kHeadDim>), args);
    if (args.splits > 1)
      rt::launch(context.stream, "flash_combine", flash_combine_kernel<T, kHeadDim>,
                 dim3(static_cast<unsigned>(input.q.rows), input.heads), kHeadDim < 32 ? 32 : kHeadDim, 0, args);
  });
}

template <class T>
void launch_paged(const KernelContext& context, const AttentionInput& input) {
  if (input.q.rows <= input.sequences * kDecodeQueries)
    launch_decode<T>(context, input);
  else
    launch_flash<T, true>(context, "flash_paged", input);
}

}  // namespace

void attention_paged(const KernelContext& context, const View& q, const View& cache, const int32_t* block_table,
                     int64_t sequences, int64_t blocks, const int32_t* cu_seqlens, const int32_t* context_lens,
                     const program::op_attention_paged::Attrs& attrs, const View& y) {
  AttentionInput input;
  input.q = q;
  input.y = y;
  input.cache = cache;
  input.block_table = block_table;
  input.context_lens = context_lens;
  input.cu_seqlens = cu_seqlens;
  input.sequences = sequences;
  input.blocks = blocks;
  input.heads = static_cast<int>(attrs.numHeads);
  input.kv_heads = static_cast<int>(attrs.numKvHeads);
  input.head_dim = static_cast<int>(attrs.headDim);
  input.page_size = static_cast<int>(attrs.pageSize);
  input.scale = attrs.scale;
  if (q.rows == 0 || q.cols == 0 || sequences == 0) return;
  if (!flash_fits(input)) return attention_simple(context, input);
  if (q.dtype == DType::bf16)
    launch_paged<bf16>(context, input);
  else
    launch_paged<f16>(context, input);
}

size_t attention_paged_workspace(int64_t tokens, int64_t sequences, int64_t blocks,
                                 const program::op_attention_paged::Attrs& attrs, int multiprocessors) {
  if (tokens == 0 || sequences == 0) return 0;
  const int splits = decode_splits(tokens, sequences, blocks * attrs.pageSize, static_cast<int>(attrs.numHeads),
                                   static_cast<int>(attrs.numKvHeads), multiprocessors);
  return splits == 1 ? 0 : static_cast<size_t>(tokens) * attrs.numHeads * splits * (attrs.headDim + 2) * sizeof(float);
}

namespace {

program::op_attention_paged::Attrs attention_attrs(const program::op_rope_attention_paged::Attrs& attrs) {
  return {attrs.numHeads, attrs.numKvHeads, attrs.headDim, attrs.pageSize, attrs.scale};
}

size_t rotated_bytes(const View& q) {
  return static_cast<size_t>(q.rows) * q.cols * (q.dtype == DType::f32 ? sizeof(float) : sizeof(bf16));
}

}  // namespace

void rope_attention_paged(const KernelContext& context, const View& q, const View& k, const View& v, const View& cos,
                          const View& sin, const int32_t* slots, const View& cache, const int32_t* block_table,
                          int64_t sequences, int64_t blocks, const int32_t* cu_seqlens, const int32_t* context_lens,
                          const program::op_rope_attention_paged::Attrs& attrs, const View& y) {
  const View rotated{context.workspace, q.dtype, q.rows, q.cols, q.cols};
  rope_kv_write(context, q, k, v, cos, sin, slots, cache, attrs, rotated);
  attention_paged(context.behind(rotated_bytes(q)), rotated, cache, block_table, sequences, blocks, cu_seqlens,
                  context_lens, attention_attrs(attrs), y);
}

size_t rope_attention_paged_workspace(const View& q, int64_t sequences, int64_t blocks,
                                      const program::op_rope_attention_paged::Attrs& attrs, int multiprocessors) {
  return workspace_bytes(rotated_bytes(q)) +
         attention_paged_workspace(q.rows, sequences, blocks, attention_attrs(attrs), multiprocessors);
}

}  // namespace glimt
