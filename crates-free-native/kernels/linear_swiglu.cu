// y = swiglu(x gᵀ, x uᵀ), w = g over u: both products rounded to the activations' type, as their composition stores
// them. Up to 8 rows in one launch (linear_gemv.cu); else the products go to workspace and `swiglu` follows.
#include "dispatch.h"
#include "linear.h"
#include "op_entry.h"

namespace glimt {

namespace {

size_t product_bytes(const LinearCall& call) {
  return static_cast<size_t>(call.x.rows) * call.w.rows * (call.x.dtype == DType::f32 ? sizeof(float) : sizeof(bf16));
}

LinearCall products(const LinearCall& call, void* workspace) {
  return {call.x, call.w, nullptr, {workspace, call.x.dtype, call.x.rows, call.w.rows, call.w.rows}};
}

void multiply_then_gate(const KernelContext& context, const LinearCall& call) {
  const LinearCall both = products(call, context.workspace);
  linear(context.behind(product_bytes(call)), both);
  Operand gate = both.y, up = both.y;
  gate.cols = up.cols = call.y.cols;
  up.data = static_cast<char*>(both.y.data) + product_bytes(call) / static_cast<size_t>(call.x.rows) / 2;
  swiglu(context, gate, up, call.y);
}

constexpr Candidate<LinearCall> kRows[] = {
    {"gemv", gemv_fits, nullptr, nullptr, launches<linear_gemv_swiglu, LinearCall>},
    {"products", [](const KernelTerms&, const LinearCall&) { return true; }, nullptr,
     [](const KernelTerms& terms, const LinearCall& call) {
       return workspace_bytes(product_bytes(call)) + linear_workspace(terms, products(call, nullptr));
     },
     launches<multiply_then_gate, LinearCall>, true},
};

}  // namespace

const KernelList<LinearCall> linear_swiglu_kernels{"linear_swiglu", kRows};

void linear_swiglu(const KernelContext& context, const LinearCall& call) {
  if (call.x.rows == 0 || call.w.rows == 0) return;
  run(linear_swiglu_kernels, context, call);
}

size_t linear_swiglu_workspace(const KernelTerms& terms, const LinearCall& call) {
  return most_workspace(linear_swiglu_kernels, terms, call);
}

// ---- entries ----

namespace {

LinearCall gated_call(const Call& call) { return {call.in[0], call.in[1], nullptr, call.out[0]}; }

}  // namespace

constexpr OpEntry kLinearSwiglu{
    [](const KernelContext& context, const Call& call) { linear_swiglu(context, gated_call(call)); },
    [](const KernelTerms& terms, const Call& call) { return linear_swiglu_workspace(terms, gated_call(call)); }};

}  // namespace glimt
