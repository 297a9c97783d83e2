// adjust_logits: copies rows of logits as floats, changes single tokens of the copies, and makes -infinity of those that a
// mask leaves out. A block for each kRange tokens of a row marks which change of a token is the last; every operation
// rounds by itself.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "index_checks.h"

namespace glimt {

namespace {

constexpr int kBlock = 256, kRange = 2048;

struct AdjustArguments {
  // Tokens, rows of logits, changes, words of a mask and masks.
  int v, m, p, words, k;
  const int32_t* rows;
  const int32_t* ids;
  const float* changes;
  const int32_t* cu_ids;
  const int32_t* masks;
  const int32_t* mask_of;
  // [rows, v]
  float* adjusted;
};

template <class T>
__global__ void __launch_bounds__(kBlock) adjust_logits_kernel(const T* logits, int64_t stride, AdjustArguments args) {
  start_kernel();
  // The last change of each token, or -1.
  GLIMT_SHARED(int, last, kRange);
  const int64_t row = blockIdx.x;
  const int range_begin = blockIdx.y * kRange, count = min(kRange, args.v - range_begin);
  // Indices in host memory were checked; those in device memory may say anything.
  const int source = min(max(args.rows[row], 0), args.m - 1);
  const int begin = max(args.cu_ids[row], 0), end = min(args.cu_ids[row + 1], args.p);
  const int mask = args.mask_of[row];
  if (begin < end) {
    for (int i = threadIdx.x; i < kRange; i += kBlock) last[i] = -1;
    __syncthreads();
    for (int j = begin + threadIdx.x; j < end; j += kBlock) {
      const int token = args.ids[j];
      if (token >= range_begin && token - range_begin < count) atomicMax(&last[token - range_begin], j);
    }
    __syncthreads();
  }
  const T* from = logits + source * stride + range_begin;
  float* to = args.adjusted + row * args.v + range_begin;
  for (int i = threadIdx.x; i < count; i += kBlock) {
    float logit = widen(from[i]);
    const int j = begin < end ? last[i] : -1;
    if (j >= 0) {
      const float factor = args.changes[2 * j], addend = args.changes[2 * j + 1];
      logit = __fadd_rn(logit > 0 ? __fdiv_rn(logit, factor) : __fmul_rn(logit, factor), addend);
    }
    const int token = range_begin + i;
    if (mask >= 0 && mask < args.k) {
      const auto word = static_cast<uint32_t>(args.masks[static_cast<int64_t>(mask) * args.words + token / 32]);
      if (!(word >> token % 32 & 1)) logit = -INFINITY;
    }
    to[i] = logit;
  }
}

void adjust_logits(const KernelContext& context, const Call& call) {
  const Operand &logits = call.in[0], &masks = call.in[5], &adjusted = call.out[0];
  if (adjusted.rows == 0) return;
  const AdjustArguments args{static_cast<int>(logits.cols),   static_cast<int>(logits.rows),
                             static_cast<int>(call.in[2].rows), static_cast<int>(masks.cols),
                             static_cast<int>(masks.rows),      call.in[1].as<const int32_t>(),
                             call.in[2].as<const int32_t>(),    call.in[3].as<const float>(),
                             call.in[4].as<const int32_t>(),    masks.as<const int32_t>(),
                             call.in[6].as<const int32_t>(),    adjusted.as<float>()};
  const dim3 grid(static_cast<unsigned>(adjusted.rows), static_cast<unsigned>(rt::blocks_for(logits.cols, kRange)));
  with_float_type(logits.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    rt::launch(context.stream, "adjust_logits", adjust_logits_kernel<T>, grid, kBlock, 0, logits.as<const T>(),
               logits.stride, args);
  });
}

}  // namespace

constexpr OpEntry kAdjustLogits{
    [](const KernelContext& context, const Call& call) { adjust_logits(context, call); }, nullptr,
    [](const Call& call) {
      check_all(call, 1, "row", call.in[0].rows);
      check_all(call, 2, "token", call.in[0].cols, true);
      check_bounds(call, 4, call.in[2].rows, "cuIds");
      check_all(call, 6, "mask", call.in[5].rows, true);
    }};

}  // namespace glimt
