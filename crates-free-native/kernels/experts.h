// The kernels of `experts`.
#pragma once
#include "candidates.h"

namespace glimt {

extern const KernelList<ExpertsCall> experts_kernels;

// Tensor cores over the tokens of each expert: 16-bit x and weights of one type, rows aligned to 16 bytes.
bool grouped_experts_fit(const KernelTerms& terms, const ExpertsCall& call);
// Many tokens.
bool grouped_experts_pay(const KernelTerms& terms, const ExpertsCall& call);
size_t grouped_experts_workspace(const KernelTerms& terms, const ExpertsCall& call);
void grouped_experts(const KernelContext& context, const ExpertsCall& call);

}  // namespace glimt
