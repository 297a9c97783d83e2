// accept_drafts: accepted[s] = the first i from firsts[s] on with guesses[i] < 0 or guesses[i] != tokens[i], and entries of
//   rowOf and choicesOf by it. A thread a slice: they have a few rows.
// follow_drafts: ids[i] = drafts[of[i]], and entries of five tables by chosen[of[i]]. A warp a draft.
// An index in device memory that points outside is taken for the nearest inside: what is read there harms nobody.
#include "../runtime/launch.h"
#include "device.h"
#include "index_checks.h"

namespace glimt {

namespace {

constexpr int kBlock = 128, kWarps = kBlock / 32;

__device__ __forceinline__ int inside(int index, int count) { return min(max(index, 0), count - 1); }

struct AcceptArguments {
  const int32_t *tokens, *guesses, *firsts, *row_of, *choices_of;
  int32_t *accepted, *rows, *choices;
  int m, d;
};

__global__ void __launch_bounds__(kBlock) accept_drafts_kernel(AcceptArguments args) {
  start_kernel();
  const int s = static_cast<int>(blockIdx.x * kBlock + threadIdx.x);
  if (s >= args.d) return;
  int at = inside(args.firsts[s], args.m);
  while (at + 1 < args.m && args.guesses[at] >= 0 && args.guesses[at] == args.tokens[at]) at++;
  args.accepted[s] = at;
  args.rows[s] = args.row_of[at];
  args.choices[2 * s] = args.choices_of[2 * at];
  args.choices[2 * s + 1] = args.choices_of[2 * at + 1];
}

struct FollowArguments {
  const int32_t *of, *drafts, *chosen, *slot_of, *length_of, *choices_of;
  const float *cos_of, *sin_of;
  int32_t *ids, *accepted, *slots, *lengths, *choices;
  float *cos, *sin;
  int64_t cos_of_stride, sin_of_stride, cos_stride, sin_stride;
  int m, p, r, h;
};

__global__ void __launch_bounds__(kBlock) follow_drafts_kernel(FollowArguments args) {
  start_kernel();
  const int lane = threadIdx.x % 32;
  const int i = static_cast<int>(blockIdx.x * kWarps + threadIdx.x / 32);
  if (i >= args.r) return;
  const int draft = inside(args.of[i], args.p), at = inside(args.chosen[draft], args.m);
  if (lane == 0) {
    args.ids[i] = args.drafts[draft];
    args.accepted[i] = at;
    args.slots[i] = args.slot_of[at];
    args.lengths[i] = args.length_of[at];
  }
  if (lane < 2) args.choices[2 * i + lane] = args.choices_of[2 * at + lane];
  for (int c = lane; c < args.h; c += 32) {
    args.cos[i * args.cos_stride + c] = args.cos_of[at * args.cos_of_stride + c];
    args.sin[i * args.sin_stride + c] = args.sin_of[at * args.sin_of_stride + c];
  }
}

// Whichever way a vector lies.
int length(const Operand& vector) { return static_cast<int>(vector.rows * vector.cols); }

void accept_drafts(const KernelContext& context, const Call& call) {
  const int m = length(call.in[0]), d = length(call.in[2]);
  if (m == 0 || d == 0) return;
  const AcceptArguments args{call.in[0].as<const int32_t>(), call.in[1].as<const int32_t>(),
                             call.in[2].as<const int32_t>(), call.in[3].as<const int32_t>(),
                             call.in[4].as<const int32_t>(), call.out[0].as<int32_t>(),
                             call.out[1].as<int32_t>(),      call.out[2].as<int32_t>(),
                             m,                              d};
  rt::launch(context.stream, "accept_drafts", accept_drafts_kernel, rt::blocks_for(d, kBlock), kBlock, 0, args);
}

void follow_drafts(const KernelContext& context, const Call& call) {
  const Operand &cos_of = call.in[5], &sin_of = call.in[6], &cos = call.out[4], &sin = call.out[5];
  FollowArguments args{};
  args.of = call.in[0].as<const int32_t>();
  args.drafts = call.in[1].as<const int32_t>();
  args.chosen = call.in[2].as<const int32_t>();
  args.slot_of = call.in[3].as<const int32_t>();
  args.length_of = call.in[4].as<const int32_t>();
  args.cos_of = cos_of.as<const float>();
  args.sin_of = sin_of.as<const float>();
  args.choices_of = call.in[7].as<const int32_t>();
  args.ids = call.out[0].as<int32_t>();
  args.accepted = call.out[1].as<int32_t>();
  args.slots = call.out[2].as<int32_t>();
  args.lengths = call.out[3].as<int32_t>();
  args.cos = cos.as<float>();
  args.sin = sin.as<float>();
  args.choices = call.out[6].as<int32_t>();
  args.cos_of_stride = cos_of.stride;
  args.sin_of_stride = sin_of.stride;
  args.cos_stride = cos.stride;
  args.sin_stride = sin.stride;
  args.m = length(call.in[3]);
  args.p = length(call.in[1]);
  args.r = length(call.in[0]);
  args.h = static_cast<int>(cos_of.cols);
  if (args.r == 0 || args.p == 0 || args.m == 0) return;
  rt::launch(context.stream, "follow_drafts", follow_drafts_kernel, rt::blocks_for(args.r, kWarps), kBlock, 0, args);
}

}  // namespace

// ---- entries ----

constexpr OpEntry kAcceptDrafts{
    [](const KernelContext& context, const Call& call) { accept_drafts(context, call); }, nullptr,
    [](const Call& call) { check_all(call, 2, "row", length(call.in[0])); }};

constexpr OpEntry kFollowDrafts{
    [](const KernelContext& context, const Call& call) { follow_drafts(context, call); }, nullptr,
    [](const Call& call) {
      check_all(call, 0, "draft", length(call.in[1]));
      check_all(call, 2, "row", length(call.in[3]));
    }};

}  // namespace glimt
