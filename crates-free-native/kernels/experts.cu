// route_experts: s = sigmoid(logits), r = s + correction. A group counts the sum of its two best r; among the experts of
//   the topkGroups best groups the topK best r are chosen (ties: the lower index); weights = s of those, divided by
//   their sum when asked, times scale. In f64, since a near tie must fall as in the reference.
// experts: h[t, k] = swiglu(gateUp[e] x[t]), y[t] = sum over k of weights[t, k] * down[e] h[t, k], where
//   e = experts[t, k] - firstExpert; what is no expert here counts nothing. h stays in f32. One warp computes one element
//   of h, or one of y; for many tokens see experts_grouped.cu.
#include <algorithm>

#include "../runtime/launch.h"
#include "dispatch.h"
#include "experts.h"
#include "gate.h"
#include "index_checks.h"
#include "weights.h"

namespace glimt {

namespace {

constexpr int kBlock = 128;
constexpr int kWarps = kBlock / 32;

struct Best {
  double value;
  int index;
};

// The larger value wins, of equal ones the lower index; an index below 0 is nothing.
__device__ __forceinline__ bool better(double value, int index, const Best& best) {
  return best.index < 0 || value > best.value || (value == best.value && index < best.index);
}

// One warp a token.
template <class T>
__global__ void __launch_bounds__(32)
    route_experts_kernel(const T* logits, int64_t logits_stride, const float* correction, int num_experts,
                         program::op_route_experts::Attrs attrs, int32_t* experts, int64_t experts_stride,
                         float* weights, int64_t weights_stride) {
  start_kernel();
  GLIMT_DYNAMIC_SHARED(double, shared);
  double* score = &shared;
  double* ranked = score + num_experts;
  double* group_rank = ranked + num_experts;
  double* open = group_rank + attrs.numGroups;  // 1 for the groups that were chosen
  const int lane = threadIdx.x;
  const T* row = logits + blockIdx.x * logits_stride;
  for (int e = lane; e < num_experts; e += 32) {
    score[e] = 1.0 / (1.0 + exp(-static_cast<double>(widen(row[e]))));
    ranked[e] = score[e] + static_cast<double>(correction[e]);
  }
  __syncwarp();

  const int groups = attrs.numGroups, group_size = num_experts / groups;
  for (int g = lane; g < groups; g += 32) {
    Best first{0, -1}, second{0, -1};
    for (int i = 0; i < group_size; i++) {
      const double value = ranked[g * group_size + i];
      if (better(value, i, first)) {
        second = first;
        first = {value, i};
      } else if (better(value, i, second)) {
        second = {value, i};
      }
    }
    group_rank[g] = first.value + (second.index < 0 ? 0.0 : second.value);
    open[g] = 0;
  }
  __syncwarp();
  if (lane == 0) {
    for (unsigned k = 0; k < attrs.topkGroups; k++) {
      Best best{0, -1};
      for (int g = 0; g < groups; g++)
        if (open[g] == 0 && better(group_rank[g], g, best)) best = {group_rank[g], g};
      open[best.index] = 1;
    }
  }
  __syncwarp();
  for (int e = lane; e < num_experts; e += 32)
    if (open[e / group_size] == 0) ranked[e] = -INFINITY;
  __syncwarp();

  double total = 0;
  for (unsigned k = 0; k < attrs.topK; k++) {
    Best best{0, -1};
    for (int e = lane; e < num_experts; e += 32) {
      // A chosen expert is marked by a NaN rank.
      if (ranked[e] == ranked[e] && better(ranked[e], e, best)) best = {ranked[e], e};
    }
    for (int step = 16; step > 0; step /= 2) {
      const double value = __shfl_xor_sync(kAllLanes, best.value, step);
      const int index = __shfl_xor_sync(kAllLanes, best.index, step);
      if (index >= 0 && better(value, index, best)) best = {value, index};
    }
    // Only when logits are NaN is nothing left.
    const int chosen = best.index < 0 ? 0 : best.index;
    total += score[chosen];
    // All lanes have looked before the rank is struck out.
    __syncwarp();
    if (lane == 0) {
      experts[blockIdx.x * experts_stride + k] = chosen;
      ranked[chosen] = NAN;
    }
    __syncwarp();
  }
  const double factor =
      attrs.normalise == program::op_route_experts::normalise_yes ? attrs.scale / (total + 1e-20) : attrs.scale;
  __syncwarp();
  for (unsigned k = lane; k < attrs.topK; k += 32) {
    const int chosen = experts[blockIdx.x * experts_stride + k];
    weights[blockIdx.x * weights_stride + k] = static_cast<float>(score[chosen] * factor);
  }
}

// Sum over k of x[k] * w[row, k], by a warp; all lanes receive it. Both are read in packs where they allow it.
template <class T, class Weights>
__device__ __forceinline__ float warp_dot(const T* x, const Weights& w, int64_t row, int size) {
  constexpr int kVec = Weights::kVec, kPart = kPackSize<T> < kVec ? kPackSize<T> : kVec;
  const int lane = threadIdx.x % 32;
  float sum = 0;
  if (w.loadable(row, size) && reinterpret_cast<uintptr_t>(x) % 16 == 0) {
    // Long loads of weights in blocks take registers to widen.
    constexpr int kUnrolled = kVec > 8 ? 2 : 4;
#pragma unroll kUnrolled
    for (int i = lane * kVec; i < size; i += 32 * kVec) {
      const auto loaded = w.load(row, i);
#pragma unroll
      for (int offset = 0; offset < kVec; offset += kPart) {
        float weights[kPart];
        Weights::template widen_part<kPart>(loaded, offset, weights);
        const auto pack = load_pack<T, kPart>(x + i + offset);
#pragma unroll
        for (int v = 0; v < kPart; v++) sum += widen(pack.at[v]) * weights[v];
      }
    }
  } else {
    for (int i = lane; i < size; i += 32) sum += widen(x[i]) * w.at(row, i);
  }
  return warp_sum(sum);
}

template <class T, class Weights>
__global__ void __launch_bounds__(kBlock)
    expert_hidden_kernel(const T* x, int64_t x_stride, const int32_t* experts, int64_t experts_stride, Weights gate_up,
                         int size, program::op_experts::Attrs attrs, float* hidden) {
  start_kernel();
  const unsigned use = blockIdx.x, token = use / attrs.topK, k = use % attrs.topK;
  const unsigned i = blockIdx.y * kWarps + threadIdx.x / 32;
  const unsigned expert = static_cast<unsigned>(experts[token * experts_stride + k]) - attrs.firstExpert;
  if (i >= attrs.width || expert >= attrs.numExperts) return;
  const T* row = x + token * x_stride;
  const int64_t gate_row = int64_t{expert} * 2 * attrs.width + i;
  const float gate = warp_dot(row, gate_up, gate_row, size);
  const float up = warp_dot(row, gate_up, gate_row + attrs.width, size);
  if (threadIdx.x % 32 == 0) hidden[int64_t{use} * attrs.width + i] = gated(gate, up);
}

template <class T, class Weights>
__global__ void __launch_bounds__(kBlock)
    expert_mix_kernel(const float* hidden, const int32_t* experts, int64_t experts_stride, const float* weights,
                      int64_t weights_stride, Weights down, int size, program::op_experts::Attrs attrs, T* y,
                      int64_t y_stride) {
  start_kernel();
  const unsigned token = blockIdx.x;
  const int n = blockIdx.y * kWarps + threadIdx.x / 32;
  if (n >= size) return;
  float sum = 0;
  for (unsigned k = 0; k < attrs.topK; k++) {
    const unsigned expert = static_cast<unsigned>(experts[token * experts_stride + k]) - attrs.firstExpert;
    if (expert >= attrs.numExperts) continue;
    const float* from = hidden + (int64_t{token} * attrs.topK + k) * attrs.width;
    const float part = warp_dot(from, down, int64_t{expert} * size + n, static_cast<int>(attrs.width));
    sum += weights[token * weights_stride + k] * part;
  }
  if (threadIdx.x % 32 == 0) y[token * y_stride + n] = narrow<T>(sum);
}

void route_experts(const KernelContext& context, const Operand& logits, const float* correction,
                   const program::op_route_experts::Attrs& attrs, const Operand& experts, const Operand& weights) {
  if (logits.rows == 0 || attrs.topK == 0) return;
  with_float_type(logits.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const size_t shared = (2 * logits.cols + 2 * attrs.numGroups) * sizeof(double);
    rt::launch(context.stream, "route_experts", route_experts_kernel<T>, static_cast<unsigned>(logits.rows), 32, shared,
               logits.as<const T>(), logits.stride, correction, static_cast<int>(logits.cols), attrs,
               experts.as<int32_t>(), experts.stride, weights.as<float>(), weights.stride);
  });
}

void warp_experts(const KernelContext& context, const ExpertsCall& call) {
  const Operand &x = call.x, &experts = call.experts, &weights = call.weights, &gate_up = call.gate_up, &y = call.y;
  const program::op_experts::Attrs& attrs = call.attrs;
  float* hidden = static_cast<float*>(context.workspace);
  with_float_type(x.dtype, [&](auto activation) {
    with_weights(gate_up, [&](const auto& gate_up_weights) {
      using T = typename decltype(activation)::type;
      using Weights = std::remove_cvref_t<decltype(gate_up_weights)>;
      const auto size = static_cast<int>(x.cols);
      const auto tokens = static_cast<unsigned>(x.rows);
      if (attrs.topK > 0 && attrs.width > 0)
        rt::launch(context.stream, "expert_hidden", expert_hidden_kernel<T, Weights>,
                   dim3(tokens * attrs.topK, rt::blocks_for(attrs.width, kWarps)), kBlock, 0, x.as<const T>(), x.stride,
                   experts.as<const int32_t>(), experts.stride, gate_up_weights, size, attrs, hidden);
      rt::launch(context.stream, "expert_mix", expert_mix_kernel<T, Weights>,
                 dim3(tokens, rt::blocks_for(size, kWarps)), kBlock, 0, static_cast<const float*>(hidden),
                 experts.as<const int32_t>(), experts.stride, weights.as<const float>(), weights.stride,
                 Weights(call.down), size, attrs, y.as<T>(), y.stride);
    });
  });
}

constexpr Candidate<ExpertsCall> kRows[] = {
    {"grouped", grouped_experts_fit, grouped_experts_pay, grouped_experts_workspace,
     launches<grouped_experts, ExpertsCall>, true},
    {"warp", [](const KernelTerms&, const ExpertsCall&) { return true; }, nullptr,
     [](const KernelTerms&, const ExpertsCall& call) {
       return static_cast<size_t>(call.x.rows) * call.attrs.topK * call.attrs.width * sizeof(float);
     },
     launches<warp_experts, ExpertsCall>, true},
};

}  // namespace

const KernelList<ExpertsCall> experts_kernels{"experts", kRows};

void experts(const KernelContext& context, const ExpertsCall& call) {
  if (call.x.rows == 0 || call.x.cols == 0) return;
  run(experts_kernels, context, call);
}

size_t experts_workspace(const KernelTerms& terms, const ExpertsCall& call) {
  return most_workspace(experts_kernels, terms, call);
}

// ---- entries ----

namespace {

ExpertsCall experts_call(const Call& call) {
  return {call.in[0], call.in[1], call.in[2], call.in[3], call.in[4], call.attrs<program::op_experts::Attrs>(),
          call.out[0]};
}

}  // namespace

constexpr OpEntry kRouteExperts{[](const KernelContext& context, const Call& call) {
  route_experts(context, call.in[0], call.in[1].as<const float>(), call.attrs<program::op_route_experts::Attrs>(),
                call.out[0], call.out[1]);
}};

constexpr OpEntry kExperts{
    [](const KernelContext& context, const Call& call) { experts(context, experts_call(call)); },
    [](const KernelTerms& terms, const Call& call) { return experts_workspace(terms, experts_call(call)); },
    [](const Call& call) { check_all(call, 1, "expert", call.attrs<program::op_experts::Attrs>().totalExperts); },
    [](const DType* formats) { return formats[3] == formats[4] ? nullptr : "gateUp and down have one format"; }};

}  // namespace glimt
