// The ways to compute y = x wᵀ + bias; `linear` takes the first that fits.
#pragma once
#include "kernels.h"

namespace glimt {

// Rows of x up to which the weights are streamed once, as matrix times vectors.
constexpr int64_t kGemvRows = 8;

bool gemv_fits(const View& x, const View& w, const View& y);
void linear_gemv(const KernelContext& context, const View& x, const View& w, const float* bias, const View& y);
// y = swiglu of the upper and the lower half of w's rows times x, under the same conditions.
void linear_gemv_swiglu(const KernelContext& context, const View& x, const View& w, const View& y);

// Tensor cores: 16-bit x and w of one type, rows aligned to 16 bytes.
bool mma_fits(const View& x, const View& w, const View& y);
void linear_mma(const KernelContext& context, const View& x, const View& w, const float* bias, const View& y);
// Parts the k dimension is cut into, so that a small m n fills the device; each part needs m n floats of workspace.
int mma_splits(int64_t m, int64_t n, int64_t k, int multiprocessors);

// Hopper's tensor cores, for what mma_fits and where they are asked for.
bool wgmma_pays(const KernelContext& context, const View& x, const View& w, const View& y);
void linear_wgmma(const KernelContext& context, const View& x, const View& w, const float* bias, const View& y);

}  // namespace glimt
