// attention_paged: causal grouped-query attention over a paged cache.
// Prefill (many queries a sequence): flash attention on tensor cores, flash.h.
// Decode (about one): limited by reading the cache once. A block owns one sequence, one key head and one of `splits`
// parts of the context; the query heads of the group are the 16 rows of the tensor core tile, so each key is read once
// for all of them. Its four warps take 16 keys in turn, each with its own double buffer and running softmax; the warps
// meet in shared memory. The splits meet in workspace: the block that comes last adds their parts,
//   y = sum_i 2^(h_i - h) mixed_i / sum_i 2^(h_i - h) total_i,   h = max_i h_i.
// Many parts are added in two rounds, the first in groups of splits, so that no block has to read them all.
#include "attention.h"
#include "flash_launch.h"
#include "index_checks.h"

namespace glimt {

namespace {

constexpr int kWarps = 4, kDecodeBlock = kWarps * 32, kWarpKeys = 16, kBuffers = 2, kMaxSplits = 64;
// Parts that a block adds for a query row at a time, counted over its heads; and the splits of a group of two rounds.
constexpr int kMostParts = kDecodeBlock, kGroupSplits = kMostParts / 16;
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

// Partial results in workspace, `per_head` of each query row and head.
struct DecodeParts {
  // [part][D]
  float* mixed;
  // [part]: highest, total
  float* stats;
  int per_head;

  __device__ __forceinline__ int64_t index(int64_t row_and_head, int part) const {
    return row_and_head * per_head + part;
  }
};

template <class T>
struct DecodeArguments : FlashArguments<T> {
  // With one group the splits are added in one round.
  DecodeParts splits_parts, group_parts;
  // For each sequence and tile of heads one of each group, and one of all. Zero between launches.
  unsigned* tickets;
  int splits;
};

// Whether this block is the last of `count` to come here; what the others wrote before is visible to it then.
__device__ __forceinline__ bool arrives_last(unsigned* ticket, int count) {
  GLIMT_SHARED(unsigned, last, 1);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    *last = atomicAdd(ticket, 1u) == static_cast<unsigned>(count) - 1;
    if (*last) *ticket = 0;
  }
  __syncthreads();
  __threadfence();
  return *last;
}

constexpr int kResult = -1;

// Adds `count` parts from `first_part` on of one query row and the block's heads: to a group's part, or to y (kResult).
template <class T, int D>
__device__ void add_parts(const DecodeArguments<T>& args, int64_t query_row, int first_head, int heads,
                          const DecodeParts& parts, int first_part, int count, int to_group,
                          DecodeShared<T, D>& shared) {
  float *weights = &shared.mixed[0][0], *totals = weights + kMostParts;
  const int64_t row_and_head = query_row * args.heads + first_head;
  const int i = threadIdx.x, head_of_part = i / count;
  const bool has_part = i < heads * count;
  if (has_part) {
    const float* stats = parts.stats + parts.index(row_and_head + head_of_part, first_part + i % count) * 2;
    weights[i] = stats[0];
    totals[i] = stats[1];
  }
  __syncthreads();
  float highest = -INFINITY, weight = 0;
  if (has_part) {
    for (int part = 0; part < count; part++) highest = fmaxf(highest, weights[head_of_part * count + part]);
    if (weights[i] != -INFINITY) weight = exp2f(weights[i] - highest);
  }
  __syncthreads();
  if (has_part) {
    weights[i] = weight;
    totals[i] *= weight;
    if (i % count == 0) shared.highest[0][head_of_part] = highest;
  }
  __syncthreads();
  constexpr int kPacks = D / 4;
  for (int item = threadIdx.x; item < heads * kPacks; item += kDecodeBlock) {
    const int head = item / kPacks, column = item % kPacks * 4;
    const float* from = parts.mixed + parts.index(row_and_head + head, first_part) * D + column;
    Pack<float, 4> sum = {};
    float total = 0;
#pragma unroll 8
    for (int part = 0; part < count; part++) {
      const auto mixed = load_pack<float, 4>(from + part * D);
      total += totals[head * count + part];
#pragma unroll
      for (int v = 0; v < 4; v++) sum.at[v] += mixed.at[v] * weights[head * count + part];
    }
    if (to_group == kResult) {
      Pack<T, 4> y;
#pragma unroll
      for (int v = 0; v < 4; v++) y.at[v] = narrow<T>(sum.at[v] / total);
      store_pack<T, 4>(args.y + query_row * args.y_stride + (first_head + head) * D + column, y);
      continue;
    }
    const int64_t part = args.group_parts.index(row_and_head + head, to_group);
    store_pack<float, 4>(args.group_parts.mixed + part * D + column, sum);
    if (column == 0) {
      args.group_parts.stats[part * 2] = shared.highest[0][head];
      args.group_parts.stats[part * 2 + 1] = total;
    }
  }
  __syncthreads();
}

template <class T, int D>
__global__ void __launch_bounds__(kDecodeBlock, 2) flash_decode_kernel(DecodeArguments<T> args) {
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
      const int64_t part = args.splits_parts.index(query_row * args.heads + first_head + row, split);
      args.splits_parts.mixed[part * D + column] = shared.mixed[row][column];
      if (column == 0) {
        args.splits_parts.stats[part * 2] = shared.highest[0][row];
        args.splits_parts.stats[part * 2 + 1] = shared.total[0][row];
      }
    }
    // The next row's queries and results reuse the memory.
    __syncthreads();
  }
  if (args.splits == 1) return;

  const int groups = args.group_parts.per_head, my_group = groups == 1 ? 0 : split / kGroupSplits;
  const int members = groups == 1 ? args.splits : min(kGroupSplits, args.splits - my_group * kGroupSplits);
  unsigned* tickets = args.tickets + (int64_t{sequence} * gridDim.y + blockIdx.y) * (groups + 1);
  const auto add = [&](const DecodeParts& from, int first_part, int count, int to_group) {
    for (int64_t row = first; row < end; row++)
      add_parts<T, D>(args, row, first_head, heads, from, first_part, count, to_group, shared);
  };
  if (!arrives_last(tickets + my_group, members)) return;
  add(args.splits_parts, my_group * kGroupSplits, members, groups == 1 ? kResult : my_group);
  if (groups == 1 || !arrives_last(tickets + groups, groups)) return;
  add(args.group_parts, 0, groups, kResult);
}

int decode_splits(const KernelTerms& terms, const AttentionCall& call) {
  if (call.q.rows > call.sequences * kDecodeQueries) return 1;
  const int64_t blocks = call.sequences * call.kv_heads * ((call.heads / call.kv_heads + 15) / 16);
  const int64_t wanted = (int64_t{2} * terms.multiprocessors + blocks - 1) / blocks;
  const int64_t most = (call.blocks * call.page_size + 63) / 64;
  return static_cast<int>(max(int64_t{1}, min(min(wanted, most), int64_t{kMaxSplits})));
}

int decode_groups(int splits, const AttentionCall& call) {
  const bool one_round = splits * min(16, call.heads / call.kv_heads) <= kMostParts;
  return one_round ? 1 : (splits + kGroupSplits - 1) / kGroupSplits;
}

template <class T>
void launch_decode(const KernelContext& context, const AttentionCall& call) {
  with_head_dim(call.head_dim, [&](auto size) {
    constexpr int kHeadDim = decltype(size)::value;
    DecodeArguments<T> args{flash_arguments<T>(call), {}, {}, context.tickets, 1};
    args.splits = decode_splits(context.terms, call);
    const int groups = decode_groups(args.splits, call);
    const int64_t rows_and_heads = call.q.rows * call.heads;
    float* mixed = static_cast<float*>(context.workspace);
    float* stats = mixed + rows_and_heads * (args.splits + groups) * kHeadDim;
    args.splits_parts = {mixed, stats, args.splits};
    args.group_parts = {mixed + rows_and_heads * args.splits * kHeadDim, stats + rows_and_heads * args.splits * 2,
                        groups};
    const int tiles_of_heads = (call.heads / call.kv_heads + 15) / 16;
    const dim3 grid(args.splits, call.kv_heads * tiles_of_heads, static_cast<unsigned>(call.sequences));
    rt::launch(context.stream, "flash_decode", flash_decode_kernel<T, kHeadDim>, grid, kDecodeBlock,
               sizeof(DecodeShared<T, kHeadDim>), args);
  });
}

bool decode_pays(const KernelTerms&, const AttentionCall& call) {
  return call.q.rows <= call.sequences * kDecodeQueries;
}

size_t decode_workspace(const KernelTerms& terms, const AttentionCall& call) {
  const int splits = decode_splits(terms, call);
  if (splits == 1) return 0;
  return static_cast<size_t>(call.q.rows) * call.heads * (splits + decode_groups(splits, call)) * (call.head_dim + 2) *
         sizeof(float);
}

void flash_decode(const KernelContext& context, const AttentionCall& call) {
  if (call.q.dtype == DType::bf16)
    launch_decode<bf16>(context, call);
  else
    launch_decode<f16>(context, call);
}

void flash_paged(const KernelContext& context, const AttentionCall& call) {
  if (call.q.dtype == DType::bf16)
    launch_flash<bf16, true>(context, "flash_paged", call);
  else
    launch_flash<f16, true>(context, "flash_paged", call);
}

constexpr Candidate<AttentionCall> kRows[] = {
    {"wgmma", flash_wgmma_fits, flash_wgmma_pays, nullptr, launches<flash_wgmma, AttentionCall>},
    {"decode", flash_fits, decode_pays, decode_workspace, launches<flash_decode, AttentionCall>},
    {"flash", flash_fits, nullptr, nullptr, launches<flash_paged, AttentionCall>, true},
    {"simple", [](const KernelTerms&, const AttentionCall&) { return true; }, nullptr, nullptr,
     launches<attention_simple, AttentionCall>, true},
};

}  // namespace

const KernelList<AttentionCall> attention_paged_kernels{"attention_paged", kRows};

void attention_paged(const KernelContext& context, const AttentionCall& call) {
  if (call.q.rows == 0 || call.q.cols == 0 || call.sequences == 0) return;
  run(attention_paged_kernels, context, call);
}

size_t attention_paged_workspace(const KernelTerms& terms, const AttentionCall& call) {
  if (call.q.rows == 0 || call.sequences == 0) return 0;
  return most_workspace(attention_paged_kernels, terms, call);
}

namespace {

size_t rotated_bytes(const Operand& q) {
  return static_cast<size_t>(q.rows) * q.cols * (q.dtype == DType::f32 ? sizeof(float) : sizeof(bf16));
}

// The same of the rotated queries.
AttentionCall rotated_call(const AttentionCall& call, void* workspace) {
  AttentionCall rotated = call;
  rotated.q = {workspace, call.q.dtype, call.q.rows, call.q.cols, call.q.cols};
  return rotated;
}

}  // namespace

void rope_attention_paged(const KernelContext& context, const Operand& k, const Operand& v, const Operand& cos,
                          const Operand& sin, const int32_t* slots,
                          const program::op_rope_attention_paged::Attrs& attrs, const AttentionCall& call) {
  const AttentionCall rotated = rotated_call(call, context.workspace);
  rope_kv_write(context, call.q, k, v, cos, sin, slots, call.cache, attrs, rotated.q);
  attention_paged(context.behind(rotated_bytes(call.q)), rotated);
}

size_t rope_attention_paged_workspace(const KernelTerms& terms, const AttentionCall& call) {
  return workspace_bytes(rotated_bytes(call.q)) + attention_paged_workspace(terms, rotated_call(call, nullptr));
}

// ---- entries ----

namespace {

// q is the first input; from `cache` on: the cache, blockTable, cuSeqlens, contextLens.
template <class Attrs>
AttentionCall paged_call(const Call& instruction, uint32_t cache) {
  const auto& attrs = instruction.attrs<Attrs>();
  const Operand& table = instruction.in[cache + 1];
  AttentionCall call;
  call.q = instruction.in[0];
  call.y = instruction.out[0];
  call.paged = true;
  call.cache = instruction.in[cache];
  call.block_table = table.as<const int32_t>();
  call.sequences = table.rows;
  call.blocks = table.cols;
  call.cu_seqlens = instruction.in[cache + 2].as<const int32_t>();
  call.context_lens = instruction.in[cache + 3].as<const int32_t>();
  call.heads = static_cast<int>(attrs.numHeads);
  call.kv_heads = static_cast<int>(attrs.numKvHeads);
  call.head_dim = static_cast<int>(attrs.headDim);
  call.page_size = static_cast<int>(attrs.pageSize);
  call.scale = attrs.scale;
  return call;
}

void check_contexts(const Call& call, uint32_t cache, uint32_t page_size) {
  const Operand& table = call.in[cache + 1];
  check_bounds(call, cache + 2, call.in[0].rows);
  const int32_t *blocks = call.host[cache + 1], *bounds = call.host[cache + 2], *lengths = call.host[cache + 3];
  for (int64_t s = 0; s < table.rows && lengths; s++) {
    if (bounds && bounds[s + 1] == bounds[s]) continue;
    if (bounds)
      check_index(call, "the query count of a context", bounds[s + 1] - bounds[s], int64_t{lengths[s]} + 1);
    check_index(call, "context length", lengths[s], table.cols * page_size + 1);
    for (int64_t block = 0; blocks && block * page_size < lengths[s]; block++)
      check_index(call, "page", blocks[s * table.cols + block], call.in[cache].rows);
  }
}

using PagedAttrs = program::op_attention_paged::Attrs;
using RopeAttrs = program::op_rope_attention_paged::Attrs;

}  // namespace

constexpr OpEntry kAttentionPaged{
    [](const KernelContext& context, const Call& call) { attention_paged(context, paged_call<PagedAttrs>(call, 1)); },
    [](const KernelTerms& terms, const Call& call) {
      return attention_paged_workspace(terms, paged_call<PagedAttrs>(call, 1));
    },
    [](const Call& call) { check_contexts(call, 1, call.attrs<PagedAttrs>().pageSize); }};

constexpr OpEntry kRopeAttentionPaged{
    [](const KernelContext& context, const Call& call) {
      rope_attention_paged(context, call.in[1], call.in[2], call.in[3], call.in[4], call.in[5].as<const int32_t>(),
                           call.attrs<RopeAttrs>(), paged_call<RopeAttrs>(call, 6));
    },
    [](const KernelTerms& terms, const Call& call) {
      return rope_attention_paged_workspace(terms, paged_call<RopeAttrs>(call, 6));
    },
    [](const Call& call) {
      check_slots(call, 5, call.in[6].rows, call.attrs<RopeAttrs>().pageSize);
      check_contexts(call, 6, call.attrs<RopeAttrs>().pageSize);
    }};

}  // namespace glimt
