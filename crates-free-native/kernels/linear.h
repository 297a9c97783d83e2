// The kernels of `linear` (y = x wᵀ + bias) and `linear_swiglu`.
#pragma once
#include "candidates.h"

namespace glimt {

extern const KernelList<LinearCall> linear_kernels, linear_swiglu_kernels;

// Up to 8 rows of x: the weights are streamed once, as matrix times vectors.
constexpr int64_t kGemvRows = 8;
bool gemv_fits(const KernelTerms& terms, const LinearCall& call);
void linear_gemv(const KernelContext& context, const LinearCall& call);
// y = swiglu of the upper and the lower half of w's rows times x, under the same conditions.
void linear_gemv_swiglu(const KernelContext& context, const LinearCall& call);

// Tensor cores: 16-bit x and w of one type, rows aligned to 16 bytes.
bool mma_fits(const KernelTerms& terms, const LinearCall& call);
size_t mma_workspace(const KernelTerms& terms, const LinearCall& call);
void linear_mma(const KernelContext& context, const LinearCall& call);
// Parts the k dimension is cut into, so that a small m n fills the device; each part needs m n floats of workspace. Of a
// batch-invariant engine m has no say.
int mma_splits(const KernelTerms& terms, const LinearCall& call);

// Hopper's tensor cores, for what mma_fits.
bool wgmma_fits(const KernelTerms& terms, const LinearCall& call);
bool wgmma_pays(const KernelTerms& terms, const LinearCall& call);
void linear_wgmma(const KernelContext& context, const LinearCall& call);

}  // namespace glimt
