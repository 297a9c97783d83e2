// attention_varlen: y = softmax(scale q kᵀ) v inside each run of rows, all keys visible (vision). Flash attention on
// tensor cores (flash.h) for 16-bit types, else attention_simple.
#include "attention.h"
#include "flash_launch.h"
#include "index_checks.h"

namespace glimt {

namespace {

void flash_varlen(const KernelContext& context, const AttentionCall& call) {
  if (call.q.dtype == DType::bf16)
    launch_flash<bf16, false>(context, "flash_varlen", call);
  else
    launch_flash<f16, false>(context, "flash_varlen", call);
}

constexpr Candidate<AttentionCall> kRows[] = {
    {"wgmma", flash_wgmma_fits, flash_wgmma_pays, nullptr, launches<flash_wgmma, AttentionCall>},
    {"flash", flash_fits, nullptr, nullptr, launches<flash_varlen, AttentionCall>, true},
    {"simple", [](const KernelTerms&, const AttentionCall&) { return true; }, nullptr, nullptr,
     launches<attention_simple, AttentionCall>, true},
};

}  // namespace

const KernelList<AttentionCall> attention_varlen_kernels{"attention_varlen", kRows};

bool flash_fits(const KernelTerms&, const AttentionCall& call) {
  const auto aligned = [](const Operand& operand) {
    return reinterpret_cast<uintptr_t>(operand.data) % 16 == 0 && operand.stride % 8 == 0;
  };
  const bool keys = call.paged ? aligned(call.cache) : aligned(call.k) && aligned(call.v);
  const bool pairs = reinterpret_cast<uintptr_t>(call.y.data) % 4 == 0 && call.y.stride % 2 == 0;
  return call.q.dtype != DType::f32 && keys && pairs && aligned(call.q) && with_head_dim(call.head_dim, [](auto) {});
}

void attention_varlen(const KernelContext& context, const AttentionCall& call) {
  if (call.q.rows == 0 || call.q.cols == 0 || call.sequences == 0) return;
  run(attention_varlen_kernels, context, call);
}

constexpr OpEntry kAttentionVarlen{
    [](const KernelContext& context, const Call& instruction) {
      const auto& attrs = instruction.attrs<program::op_attention_varlen::Attrs>();
      const Operand& bounds = instruction.in[3];
      AttentionCall call;
      call.q = instruction.in[0];
      call.k = instruction.in[1];
      call.v = instruction.in[2];
      call.y = instruction.out[0];
      call.cu_seqlens = bounds.as<const int32_t>();
      call.sequences = bounds.rows - 1;
      call.heads = call.kv_heads = static_cast<int>(attrs.numHeads);
      call.head_dim = static_cast<int>(attrs.headDim);
      call.scale = attrs.scale;
      attention_varlen(context, call);
    },
    nullptr, [](const Call& call) { check_bounds(call, 3, call.in[0].rows); }};

}  // namespace glimt
