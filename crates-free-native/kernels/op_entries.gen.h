// Generated from src/graph/ops.ts by `npm run generate`. Do not edit.
#pragma once

namespace glimt {

extern const OpEntry kLinear;
extern const OpEntry kAddBias;
extern const OpEntry kLinearBias;
extern const OpEntry kAdd;
extern const OpEntry kRmsNorm;
extern const OpEntry kAddRmsNorm;
extern const OpEntry kRmsNormAddRmsNorm;
extern const OpEntry kLayerNorm;
extern const OpEntry kRope;
extern const OpEntry kKvWrite;
extern const OpEntry kAttentionPaged;
extern const OpEntry kAttentionWeights;
extern const OpEntry kRopeAttentionPaged;
extern const OpEntry kAttentionVarlen;
extern const OpEntry kSwiglu;
extern const OpEntry kLinearSwiglu;
extern const OpEntry kGelu;
extern const OpEntry kEmbed;
extern const OpEntry kGatherRows;
extern const OpEntry kScatterRows;
extern const OpEntry kPositionEmbedBicubic;
extern const OpEntry kRouteExperts;
extern const OpEntry kExperts;
extern const OpEntry kAdjustLogits;
extern const OpEntry kSample;
extern const OpEntry kAcceptDrafts;
extern const OpEntry kFollowDrafts;
extern const OpEntry kAllReduce;
extern const OpEntry kAllGather;
extern const OpEntry kReduceScatter;
extern const OpEntry kSend;
extern const OpEntry kReceive;

// Null for ops that have no kernel in this backend, and for numbers that are no op.
inline const OpEntry* find_op(program::Op op) {
  using program::Op;
  switch (op) {
    case Op::linear: return &kLinear;
    case Op::add_bias: return &kAddBias;
    case Op::linear_bias: return &kLinearBias;
    case Op::add: return &kAdd;
    case Op::rms_norm: return &kRmsNorm;
    case Op::add_rms_norm: return &kAddRmsNorm;
    case Op::rms_norm_add_rms_norm: return &kRmsNormAddRmsNorm;
    case Op::layer_norm: return &kLayerNorm;
    case Op::rope: return &kRope;
    case Op::kv_write: return &kKvWrite;
    case Op::attention_paged: return &kAttentionPaged;
    case Op::attention_weights: return &kAttentionWeights;
    case Op::rope_attention_paged: return &kRopeAttentionPaged;
    case Op::attention_varlen: return &kAttentionVarlen;
    case Op::swiglu: return &kSwiglu;
    case Op::linear_swiglu: return &kLinearSwiglu;
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
    case Op::all_reduce: return &kAllReduce;
    case Op::all_gather: return &kAllGather;
    case Op::reduce_scatter: return &kReduceScatter;
    case Op::send: return &kSend;
    case Op::receive: return &kReceive;
    case Op::slice:
    case Op::merge_rows:
      return nullptr;
  }
  return nullptr;
}

}  // namespace glimt
