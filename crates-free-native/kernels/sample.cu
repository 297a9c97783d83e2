// sample: chooses a token from a row of logits, or its adjusted row, by its settings (temperature, topP, minP) and choices
// (topK, draw). src/backends/reference/sample.ts has the algorithm, which is followed to the bit: every operation on
// floats rounds by itself, and sums are of integers. What a row needs is known on the device alone: the later kernels
// return from rows that are done.
//   sample_largest: a block for each kRange tokens of a row finds the largest logit;
//   sample_weigh:   the same blocks find the row's largest, which ends greedy rows, and turn logits into weights;
//   sample_draw:    a block a row. What a cut keeps is a prefix of the tokens in their order, told by the weight at its
//                   end and how many that weigh as much belong to it. That weight is found by its digits, from
//                   histograms of counts and sums, without sorting.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "index_checks.h"

namespace glimt {

namespace {

using Sum = unsigned long long;

constexpr int kBlock = 256, kTokens = 8, kRange = kBlock * kTokens;
constexpr int kDrawBlock = 1024, kDrawWarps = kDrawBlock / 32, kBins = 1024;

struct Largest {
  float logit;
  int32_t token;
  uint32_t has_nan;
};

// Moved as 16 bytes.
struct alignas(16) Total {
  Sum sum;
  // Of weights that are not 0.
  Sum count;
};

struct SampleArguments {
  // Tokens, and blocks a row.
  int v, ranges;
  const float* settings;
  const int32_t* choices;
  // [num_adjusted, v]
  const float* adjusted;
  int num_adjusted;
  const int32_t* adjusted_as;
  // [rows, scratch_stride]: of rows that draw the logits, then the weights.
  float* scratch;
  int64_t scratch_stride;
  // [rows, ranges]
  Largest* largest;
  Total* totals;
  int32_t* tokens;
};

// The larger logit, of equal ones the lower token.
__device__ __forceinline__ void take(Largest& best, float logit, int32_t token, uint32_t has_nan) {
  best.has_nan |= has_nan;
  if (logit > best.logit || (logit == best.logit && token < best.token)) {
    best.logit = logit;
    best.token = token;
  }
}

__device__ __forceinline__ Largest warp_largest(Largest best) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    take(best, __shfl_xor_sync(kAllLanes, best.logit, step), __shfl_xor_sync(kAllLanes, best.token, step),
         __shfl_xor_sync(kAllLanes, best.has_nan, step));
  return best;
}

template <class T>
__device__ __forceinline__ T warp_total(T value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

// The largest of a row, in all lanes of every warp.
__device__ Largest row_largest(const SampleArguments& args, int64_t row) {
  Largest best{-INFINITY, 0, 0};
  for (int range = threadIdx.x % 32; range < args.ranges; range += 32) {
    const Largest one = args.largest[row * args.ranges + range];
    take(best, one.logit, one.token, one.has_nan);
  }
  return warp_largest(best);
}

__device__ __forceinline__ bool is_sound(const Largest& best) {
  return !best.has_nan && best.logit > -INFINITY && best.logit < INFINITY;
}

// A thread's tokens, of which `left` there are.
template <int Vec, class T>
__device__ __forceinline__ void load_tokens(const T* source, int left, float* logits) {
#pragma unroll
  for (int part = 0; part < kTokens / Vec; part++) {
    Pack<T, Vec> pack{};
    // With packs of several tokens v is a multiple of their size.
    if (part * Vec < left) pack = load_pack<T, Vec>(source + part * Vec);
#pragma unroll
    for (int i = 0; i < Vec; i++) logits[part * Vec + i] = widen(pack.at[i]);
  }
}

template <class T, int Vec>
__global__ void __launch_bounds__(kBlock)
    sample_largest_kernel(const T* rows, int64_t stride, SampleArguments args) {
  start_kernel();
  GLIMT_SHARED(Largest, bests, kBlock / 32);
  const int64_t row = blockIdx.x;
  const int first = blockIdx.y * kRange + threadIdx.x * kTokens;
  // Places in host memory were checked; those in device memory may say anything.
  const int place = args.adjusted_as[row];
  float logits[kTokens];
  if (place < 0 || place >= args.num_adjusted)
    load_tokens<Vec>(rows + row * stride + first, args.v - first, logits);
  else
    load_tokens<(Vec < 4 ? Vec : 4)>(args.adjusted + static_cast<int64_t>(place) * args.v + first, args.v - first,
                                     logits);
  Largest best{-INFINITY, first, 0};
#pragma unroll
  for (int i = 0; i < kTokens; i++) {
    if (first + i < args.v) take(best, logits[i], first + i, logits[i] != logits[i]);
  }
  if (args.settings[row * 3] != 0 && first < args.v) {
    float* target = args.scratch + row * args.scratch_stride + first;
#pragma unroll
    for (int i = 0; i < kTokens; i += 4)
      store_pack(target + i, Pack<float, 4>{logits[i], logits[i + 1], logits[i + 2], logits[i + 3]});
  }

  best = warp_largest(best);
  if (threadIdx.x % 32 == 0) bests[threadIdx.x / 32] = best;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int warp = 1; warp < kBlock / 32; warp++)
    take(best, bests[warp].logit, bests[warp].token, bests[warp].has_nan);
  args.largest[row * args.ranges + blockIdx.y] = best;
}

// floor(2^31 e^x), by the steps of the reference.
__device__ __forceinline__ uint32_t weight_of(float x) {
  if (!(x >= -22.0f && x <= 0.0f)) return 0;
  constexpr float kRounder = 12582912.0f;
  const float n = __fsub_rn(__fadd_rn(__fmul_rn(x, 1.44269504089f), kRounder), kRounder);
  const float r = __fsub_rn(__fsub_rn(x, __fmul_rn(n, 0.693359375f)), __fmul_rn(n, -2.1219444e-4f));
  float p = __fadd_rn(__fmul_rn(1.98756915e-4f, r), 1.3981999507e-3f);
  p = __fadd_rn(__fmul_rn(p, r), 8.3334519073e-3f);
  p = __fadd_rn(__fmul_rn(p, r), 4.1665795894e-2f);
  p = __fadd_rn(__fmul_rn(p, r), 1.6666665459e-1f);
  p = __fadd_rn(__fmul_rn(p, r), 5.0000001201e-1f);
  const float power = __fadd_rn(__fadd_rn(__fmul_rn(p, __fmul_rn(r, r)), r), 1.0f);
  const float scale = __uint_as_float(static_cast<unsigned>(127 + 31 + static_cast<int>(n)) << 23);
  return static_cast<uint32_t>(__fmul_rn(power, scale));
}

__global__ void __launch_bounds__(kBlock) sample_weigh_kernel(SampleArguments args) {
  start_kernel();
  GLIMT_SHARED(Total, parts, kBlock / 32);
  const int64_t row = blockIdx.x;
  const int first = blockIdx.y * kRange + threadIdx.x * kTokens;
  const Largest best = row_largest(args, row);
  const float temperature = args.settings[row * 3];
  if (temperature == 0 || !is_sound(best)) {
    if (blockIdx.y == 0 && threadIdx.x == 0) args.tokens[row] = is_sound(best) ? best.token : -1;
    return;
  }
  float* scratch = args.scratch + row * args.scratch_stride + first;
  Sum sum = 0, count = 0;
#pragma unroll
  for (int part = 0; part < kTokens; part += 4) {
    if (first + part >= args.v) break;
    const auto logits = load_pack<float, 4>(scratch + part);
    Pack<uint32_t, 4> weights;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float x = __fdiv_rn(__fsub_rn(logits.at[i], best.logit), temperature);
      weights.at[i] = first + part + i < args.v ? weight_of(x) : 0;
      sum += weights.at[i];
      count += weights.at[i] != 0;
    }
    store_pack(reinterpret_cast<uint32_t*>(scratch + part), weights);
  }
  sum = warp_total(sum);
  count = warp_total(count);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = {sum, count};
  __syncthreads();
  if (threadIdx.x > 0) return;
  Total total{0, 0};
  for (int warp = 0; warp < kBlock / 32; warp++) {
    total.sum += parts[warp].sum;
    total.count += parts[warp].count;
  }
  args.totals[row * args.ranges + blockIdx.y] = total;
}

struct DrawShared {
  Sum sums[kBins];
  unsigned counts[kBins];
  Total warps[kDrawWarps];
  // The bin that was looked for, and what lies above it.
  unsigned bin;
  Total above;
  int token;
};

// A weight that some tokens have.
struct Place {
  uint32_t weight;
  Sum count;
  // Of larger weights.
  Total above;
};

// Weights have 24 significant bits, so that as floats they are exact; their patterns, counted from that of 1, rise with
// them, have 28 bits, and spread weights over bins where their own highest bits would not.
__device__ __forceinline__ uint32_t key_of(uint32_t weight) {
  return __float_as_uint(static_cast<float>(weight)) - (127u << 23);
}
__device__ __forceinline__ uint32_t weight_of_key(uint32_t key) {
  return static_cast<uint32_t>(__uint_as_float(key + (127u << 23)));
}

// Sums over the threads before, this one's value not included. Uses `shared.warps`.
__device__ Total block_before(Total value, DrawShared& shared) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const Total running{warp_running(value.sum), warp_running(value.count)};
  __syncthreads();
  if (lane == 31) shared.warps[warp] = running;
  __syncthreads();
  Total before{running.sum - value.sum, running.count - value.count};
  for (int w = 0; w < warp; w++) {
    before.sum += shared.warps[w].sum;
    before.count += shared.warps[w].count;
  }
  return before;
}

// The weight at which the running sum (or count) over all weights from the largest reaches `goal`, which it does.
__device__ Place find_place(const uint32_t* weights, int v, bool by_sum, Sum goal, DrawShared& shared) {
  uint32_t known = 0;
  Place place{0, 0, {0, 0}};
#pragma unroll
  for (int digit = 0; digit < 3; digit++) {
    const int end = digit == 0 ? 28 : digit == 1 ? 18 : 8, begin = digit == 0 ? 18 : digit == 1 ? 8 : 0;
    shared.sums[threadIdx.x] = 0;
    shared.counts[threadIdx.x] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < v; i += kDrawBlock) {
      const uint32_t weight = weights[i], key = key_of(weight);
      if (weight == 0 || key >> end != known) continue;
      const unsigned bin = key >> begin & ((1u << (end - begin)) - 1);
      atomicAdd(&shared.sums[bin], Sum{weight});
      atomicAdd(&shared.counts[bin], 1u);
    }
    __syncthreads();
    const int bin = kBins - 1 - threadIdx.x;
    const Total own{shared.sums[bin], shared.counts[bin]};
    Total before = block_before(own, shared);
    before.sum += place.above.sum;
    before.count += place.above.count;
    const Sum above = by_sum ? before.sum : before.count, reached = above + (by_sum ? own.sum : own.count);
    if (above < goal && goal <= reached) {
      shared.bin = bin;
      shared.above = before;
    }
    __syncthreads();
    known = known << (end - begin) | shared.bin;
    place.count = shared.counts[shared.bin];
    place.above = shared.above;
    __syncthreads();
  }
  place.weight = weight_of_key(known);
  return place;
}

// Each warp's part of the row, of a whole number of tokens a lane.
struct Segment {
  int size;
  Sum before, own, total;
};

template <class Value>
__device__ Segment sum_segments(int v, const Value& value, DrawShared& shared) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  Segment segment{(v + kDrawBlock - 1) / kDrawBlock * 32, 0, 0, 0};
  Sum sum = 0;
  for (int i = warp * segment.size + lane; i < min((warp + 1) * segment.size, v); i += 32) sum += value(i);
  sum = warp_total(sum);
  __syncthreads();
  if (lane == 0) shared.warps[warp].sum = sum;
  __syncthreads();
  for (int w = 0; w < kDrawWarps; w++) {
    if (w < warp) segment.before += shared.warps[w].sum;
    segment.total += shared.warps[w].sum;
  }
  segment.own = sum;
  return segment;
}

// The first token at which the running value reaches `goal`, -1 when none does.
template <class Value>
__device__ int find_token(int v, const Value& value, const Segment& segment, Sum goal, DrawShared& shared) {
  if (threadIdx.x == 0) shared.token = -1;
  __syncthreads();
  // The segment that reaches it, then its tokens, by all threads.
  if (threadIdx.x % 32 == 0 && segment.before < goal && goal <= segment.before + segment.own) {
    shared.token = threadIdx.x / 32 * segment.size;
    shared.above.sum = segment.before;
  }
  __syncthreads();
  const int begin = shared.token;
  if (begin < 0) return -1;
  const int each = (segment.size + kDrawBlock - 1) / kDrawBlock, end = min(begin + segment.size, v);
  const int mine = min(begin + static_cast<int>(threadIdx.x) * each, end), stop = min(mine + each, end);
  Sum own = 0;
  for (int i = mine; i < stop; i++) own += value(i);
  Sum running = shared.above.sum + block_before({own, 0}, shared).sum;
  if (running < goal && goal <= running + own) {
    int token = mine;
    for (; running + value(token) < goal; token++) running += value(token);
    shared.token = token;
  }
  __syncthreads();
  return shared.token;
}

__global__ void __launch_bounds__(kDrawBlock, 1) sample_draw_kernel(SampleArguments args) {
  start_kernel();
  GLIMT_SHARED(DrawShared, storage, 1);
  DrawShared& shared = *storage;
  const int64_t row = blockIdx.x;
  const float* settings = args.settings + row * 3;
  if (settings[0] == 0 || !is_sound(row_largest(args, row))) return;
  const auto* weights = reinterpret_cast<const uint32_t*>(args.scratch + row * args.scratch_stride);
  const int v = args.v, top_k = args.choices[row * 2];
  Total total{0, 0};
  for (int range = threadIdx.x % 32; range < args.ranges; range += 32) {
    const Total one = args.totals[row * args.ranges + range];
    total.sum += one.sum;
    total.count += one.count;
  }
  Sum sum = warp_total(total.sum);
  const Sum count = warp_total(total.count);

  // Kept are weights above `least`, and the first `ties` of the `equal` ones that are `least`.
  uint32_t least = 0;
  Sum ties = 0, equal = 0;
  bool none = false;
  if (top_k > 0 && static_cast<Sum>(top_k) < count) {
    const Place place = find_place(weights, v, false, static_cast<Sum>(top_k), shared);
    least = place.weight;
    equal = ties = place.count;
    sum = place.above.sum + ties * least;
  }
  const float top_p = settings[1], min_p = settings[2];
  if (!(top_p >= 1)) {
    const double limit = ceil(static_cast<double>(top_p) * static_cast<double>(sum));
    none = !(limit > 0);
    if (!none) {
      // Of equal ones the first is kept when what is above it is below the limit, the next as long as that goes on.
      const Place place = find_place(weights, v, true, static_cast<Sum>(limit), shared);
      least = place.weight;
      equal = place.count;
      ties = (static_cast<Sum>(limit) - place.above.sum + least - 1) / least;
    }
  }
  if (!(min_p <= 0)) {
    const double floor_of_weights = ceil(static_cast<double>(min_p) * 0x1p31);
    none = none || !(floor_of_weights <= 0x1p31);
    if (!none && floor_of_weights > least) {
      least = static_cast<uint32_t>(floor_of_weights) - 1;
      ties = equal = 0;
    }
  }
  int last_tie = ties == 0 ? -1 : v;
  if (!none && ties < equal) {
    const auto is_tie = [&](int i) { return Sum{weights[i] == least}; };
    last_tie = find_token(v, is_tie, sum_segments(v, is_tie, shared), ties, shared);
  }
  const auto kept = [&](int i) {
    const uint32_t weight = weights[i];
    return weight > least || (weight == least && i <= last_tie) ? Sum{weight} : 0;
  };
  int token = -1;
  if (!none) {
    const Segment segment = sum_segments(v, kept, shared);
    const double draw = static_cast<double>(static_cast<uint32_t>(args.choices[row * 2 + 1]));
    const double target = draw * 0x1p-32 * static_cast<double>(segment.total);
    token = find_token(v, kept, segment, static_cast<Sum>(target) + 1, shared);
  }
  if (threadIdx.x == 0) args.tokens[row] = token;
}

struct Workspace {
  int64_t scratch_stride;
  int ranges;
  size_t totals, largest, end;

  Workspace(int64_t rows, int64_t v)
      : scratch_stride((v + kTokens - 1) / kTokens * kTokens), ranges(static_cast<int>(rt::blocks_for(v, kRange))) {
    totals = static_cast<size_t>(rows * scratch_stride) * sizeof(float);
    largest = totals + static_cast<size_t>(rows) * ranges * sizeof(Total);
    end = largest + static_cast<size_t>(rows) * ranges * sizeof(Largest);
  }
};

void sample(const KernelContext& context, const Operand& logits, const Operand& adjusted, const int32_t* adjusted_as,
            const float* settings, const int32_t* choices, int32_t* tokens) {
  if (logits.rows == 0) return;
  const Workspace places(logits.rows, logits.cols);
  char* workspace = static_cast<char*>(context.workspace);
  const SampleArguments args{static_cast<int>(logits.cols),
                             places.ranges,
                             settings,
                             choices,
                             adjusted.as<const float>(),
                             static_cast<int>(adjusted.rows),
                             adjusted_as,
                             reinterpret_cast<float*>(workspace),
                             places.scratch_stride,
                             reinterpret_cast<Largest*>(workspace + places.largest),
                             reinterpret_cast<Total*>(workspace + places.totals),
                             tokens};
  const dim3 grid(static_cast<unsigned>(logits.rows), static_cast<unsigned>(places.ranges));
  with_float_type(logits.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const auto start = [&](auto vec) {
      rt::launch(context.stream, "sample_largest", sample_largest_kernel<T, decltype(vec)::value>, grid, kBlock, 0,
                 logits.as<const T>(), logits.stride, args);
    };
    if (packable<T>(logits) && packable<float>(adjusted))
      start(std::integral_constant<int, kPackSize<T>>{});
    else
      start(std::integral_constant<int, 1>{});
  });
  rt::launch(context.stream, "sample_weigh", sample_weigh_kernel, grid, kBlock, 0, args);
  rt::launch(context.stream, "sample_draw", sample_draw_kernel, static_cast<unsigned>(logits.rows), kDrawBlock, 0,
             args);
}

size_t sample_workspace(int64_t rows, int64_t v) { return Workspace(rows, v).end; }

}  // namespace

constexpr OpEntry kSample{
    [](const KernelContext& context, const Call& call) {
      sample(context, call.in[0], call.in[1], call.in[2].as<const int32_t>(), call.in[3].as<const float>(),
             call.in[4].as<const int32_t>(), call.out[0].as<int32_t>());
    },
    [](const KernelTerms&, const Call& call) { return sample_workspace(call.in[0].rows, call.in[0].cols); },
    [](const Call& call) {
      check_all(call, 2, "adjusted row", call.in[1].rows, true);
    }};

}  // namespace glimt
