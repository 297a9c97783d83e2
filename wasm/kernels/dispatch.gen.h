// Generated from src/graph/ops.ts by `npm run generate`. Do not edit.
#pragma once

namespace glimt {

extern const Kernel kLinear;
extern const Kernel kAddBias;
extern const Kernel kLinearBias;
extern const Kernel kAdd;
extern const Kernel kRmsNorm;
extern const Kernel kAddRmsNorm;
extern const Kernel kLayerNorm;
extern const Kernel kRope;
extern const Kernel kKvWrite;
extern const Kernel kAttentionPaged;
extern const Kernel kAttentionWeights;
extern const Kernel kAttentionVarlen;
extern const Kernel kSwiglu;
extern const Kernel kGelu;
extern const Kernel kEmbed;
extern const Kernel kGatherRows;
extern const Kernel kScatterRows;
extern const Kernel kPositionEmbedBicubic;
extern const Kernel kRouteExperts;
extern const Kernel kExperts;
extern const Kernel kAdjustLogits;
extern const Kernel kSample;
extern const Kernel kAcceptDrafts;
extern const Kernel kFollowDrafts;

// Null for ops that have no kernel in this backend, and for numbers that are no op.
inline const Kernel* kernelOf(program::Op op) {
  using program::Op;
  switch (op) {
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
    case Op::attention_weights: return &kAttentionWeights;
    case Op::attention_varlen: return &kAttentionVarlen;
    case Op::swiglu: return &kSwiglu;
    case Op::gelu: return &kGelu;
    case Op::embed: return &kEmbed;
    case Op::gather_rows: return &kGatherRows;
    case Op::scatter_rows: return &kScatterRows;
    case Op::position_embed_bicubic: return &kPositionEmbedBicubic;
    case Op::route_experts: return &kRouteExperts;
    case Op::experts: return &kExperts;
    case Op::adjust_logits: return &kAdjustLogits;
    case Op::sample: return &kSample;
    case Op::accept_drafts: return &kAcceptDrafts;
    case Op::follow_drafts: return &kFollowDrafts;
    case Op::slice:
    case Op::merge_rows:
    case Op::rms_norm_add_rms_norm:
    case Op::rope_attention_paged:
    case Op::linear_swiglu:
    case Op::all_reduce:
    case Op::all_gather:
    case Op::reduce_scatter:
    case Op::send:
    case Op::receive:
      return nullptr;
  }
  return nullptr;
}

}  // namespace glimt
