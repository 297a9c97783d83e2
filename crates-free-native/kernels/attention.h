// What the attention kernels share: where keys and values lie, and the ways to compute.
#pragma once
#include "kernels.h"

namespace glimt {

// Attention of one kind of input, as the kernels take it. `cache` set: keys and values are pages of it; else `k` and `v`.
struct AttentionInput {
  View q, k, v, y;
  View cache;
  const int32_t* block_table = nullptr;
  const int32_t* context_lens = nullptr;
  const int32_t* cu_seqlens = nullptr;
  int64_t sequences = 0, blocks = 0;
  int heads = 0, kv_heads = 0, head_dim = 0, page_size = 1;
  float scale = 0;
};

// Any types and head sizes up to 512: one warp a query row and head.
void attention_simple(const KernelContext& context, const AttentionInput& input);

// Tensor cores: 16-bit types, head sizes 16, 64, 96, 128, rows aligned to 16 bytes.
bool flash_fits(const AttentionInput& input);

// Hopper's tensor cores, for many queries, head sizes 64 and 128, where they are asked for.
bool flash_wgmma_pays(const KernelContext& context, const AttentionInput& input);
void flash_wgmma(const KernelContext& context, const AttentionInput& input);

}  // namespace glimt
