#include "attention.h"

namespace glimt {

void attention_paged(const KernelContext& context, const View& q, const View& cache, const int32_t* block_table,
                     int64_t sequences, int64_t blocks, const int32_t* cu_seqlens, const int32_t* context_lens,
                     const program::op_attention_paged::Attrs& attrs, const View& y) {
  AttentionInput input;
  input.q = q;
  input.y = y;
  input.cache = cache;
  input.block_table = block_table;
  input.context_lens = context_lens;
  input.cu_seqlens = cu_seqlens;
  input.sequences = sequences;
  input.blocks = blocks;
  input.heads = static_cast<int>(attrs.numHeads);
  input.kv_heads = static_cast<int>(attrs.numKvHeads);
  input.head_dim = static_cast<int>(attrs.headDim);
  input.page_size = static_cast<int>(attrs.pageSize);
  input.scale = attrs.scale;
  attention_simple(context, input);
}

size_t attention_paged_workspace(int64_t, int64_t, int64_t, const program::op_attention_paged::Attrs&, int) { return 0; }

}  // namespace glimt
