// The ways to compute `experts`; it takes the grouped one when that fits.
#pragma once
#include "kernels.h"

namespace glimt {

// Tensor cores over the tokens of each expert: many tokens, 16-bit x and weights of one type, rows aligned to 16 bytes.
bool grouped_experts_fit(const View& x, const View& gate_up, const View& down, const View& y,
                         const program::op_experts::Attrs& attrs);
void grouped_experts(const KernelContext& context, const View& x, const View& experts, const View& weights,
                     const View& gate_up, const View& down, const program::op_experts::Attrs& attrs, const View& y);
size_t grouped_experts_workspace(const View& x, const program::op_experts::Attrs& attrs);

}  // namespace glimt
