// The kernels of the two attentions.
#pragma once
#include "candidates.h"

namespace glimt {

extern const KernelList<AttentionCall> attention_varlen_kernels, attention_paged_kernels;

// Any types and head sizes up to 512: one warp a query row and head.
void attention_simple(const KernelContext& context, const AttentionCall& call);

// Tensor cores: 16-bit types, head sizes 16, 64, 96, 128, rows aligned to 16 bytes.
bool flash_fits(const KernelTerms& terms, const AttentionCall& call);

// Hopper's tensor cores, head sizes 64 and 128, for many queries.
bool flash_wgmma_fits(const KernelTerms& terms, const AttentionCall& call);
bool flash_wgmma_pays(const KernelTerms& terms, const AttentionCall& call);
void flash_wgmma(const KernelContext& context, const AttentionCall& call);

}  // namespace glimt
