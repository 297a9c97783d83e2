// y = swiglu(x gᵀ, x uᵀ), w = g over u: both products rounded to the activations' type, as their composition stores
// them. Up to 8 rows in one launch (linear_gemv.cu); else the products go to workspace and `swiglu` follows.
#include "dispatch.h"
#include "linear.h"

namespace glimt {

namespace {

size_t product_bytes(const View& x, const View& w) {
  return static_cast<size_t>(x.rows) * w.rows * (x.dtype == DType::f32 ? sizeof(float) : sizeof(bf16));
}

bool in_one_launch(const View& x, const View& w, const View& y) { return x.rows <= kGemvRows && gemv_fits(x, w, y); }

}  // namespace

void linear_swiglu(const KernelContext& context, const View& x, const View& w, const View& y) {
  if (x.rows == 0 || w.rows == 0) return;
  if (in_one_launch(x, w, y)) return linear_gemv_swiglu(context, x, w, y);
  const View both{context.workspace, x.dtype, x.rows, w.rows, w.rows};
  linear(context.behind(product_bytes(x, w)), x, w, nullptr, both);
  View gate = both, up = both;
  gate.cols = up.cols = y.cols;
  up.data = static_cast<char*>(both.data) + product_bytes(x, w) / static_cast<size_t>(x.rows) / 2;
  swiglu(context, gate, up, y);
}

size_t linear_swiglu_workspace(const View& x, const View& w, int multiprocessors) {
  return workspace_bytes(product_bytes(x, w)) + linear_workspace(x.rows, w.rows, x.cols, multiprocessors);
}

}  // namespace glimt
