#include "attention.h"

namespace glimt {

void attention_varlen(const KernelContext& context, const View& q, const View& k, const View& v,
                      const int32_t* cu_seqlens, int64_t sequences, const program::op_attention_varlen::Attrs& attrs,
                      const View& y) {
  AttentionInput input;
  input.q = q;
  input.k = k;
  input.v = v;
  input.y = y;
  input.cu_seqlens = cu_seqlens;
  input.sequences = sequences;
  input.heads = input.kv_heads = static_cast<int>(attrs.numHeads);
  input.head_dim = static_cast<int>(attrs.headDim);
  input.scale = attrs.scale;
  attention_simple(context, input);
}

}  // namespace glimt
