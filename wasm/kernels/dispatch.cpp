// The kernel of each op. An op of the table that is missing here does not compile.
#include "dispatch.h"

#pragma GCC diagnostic error "-Wswitch"

namespace glimt {

const Kernel* kernelOf(Op op) {
  switch (op) {
    case Op::slice:
    case Op::merge_rows:
      return nullptr;  // Views: never an instruction.
    case Op::rms_norm_add_rms_norm:
    case Op::rope_attention_paged:
    case Op::linear_swiglu:
      return nullptr;  // Compositions: the compiler expands them.
    case Op::linear: return &kLinear;
    case Op::add_bias: return &kAddBias;
    case Op::linear_bias: return &kLinearBias;
    case Op::add: return &kAdd;
    case Op::rms_norm: return &kRmsNorm;
    case Op::add_rms_norm: return &kAddRmsNorm;
    case Op::layer_norm: return &kLayerNorm;
    case Op::rope: return &kRope;
    case Op::kv_write: return &kKvWrite;
    case Op::attention_paged: return &kAttentionPaged;
    case Op::attention_varlen: return &kAttentionVarlen;
    case Op::swiglu: return &kSwiglu;
    case Op::gelu: return &kGelu;
    case Op::embed: return &kEmbed;
    case Op::gather_rows: return &kGatherRows;
    case Op::scatter_rows: return &kScatterRows;
    case Op::position_embed_bicubic: return &kPositionEmbed;
    case Op::route_experts: return &kRouteExperts;
    case Op::experts: return &kExperts;
    case Op::sample: return &kSample;
  }
  return nullptr;
}

}  // namespace glimt
