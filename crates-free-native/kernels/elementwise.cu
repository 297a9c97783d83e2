// add:      y = a + b
// add_bias: y = x + bias, bias f32 by column
// swiglu:   y = gate / (1 + exp(-gate)) * up
// gelu:     y = x/2 (1 + erf(x / sqrt 2))
// One thread moves one pack of 16 bytes where alignment allows, else one element. y may be the first operand.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "gate.h"
#include "op_entry.h"

namespace glimt {

namespace {

constexpr int kBlock = 256;

struct Add {
  static constexpr const char* kName = "add";
  __device__ static float apply(float a, float b) { return a + b; }
};
struct Swiglu {
  static constexpr const char* kName = "swiglu";
  __device__ static float apply(float gate, float up) { return gated(gate, up); }
};
struct Gelu {
  static constexpr const char* kName = "gelu";
  __device__ static float apply(float x, float) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }
};

// `b` is a matrix like `a`, a row of f32 (Bias), or absent (b == nullptr).
template <class T, int Vec, class F, bool Bias>
__global__ void __launch_bounds__(kBlock)
    elementwise_kernel(const T* a, int64_t a_stride, const void* b, int64_t b_stride, T* y, int64_t y_stride,
                       unsigned packs_per_row, unsigned packs) {
  start_kernel();
  const unsigned index = blockIdx.x * kBlock + threadIdx.x;
  if (index >= packs) return;
  const int64_t row = index / packs_per_row;
  const unsigned column = index % packs_per_row * Vec;
  auto left = load_pack<T, Vec>(a + row * a_stride + column);
  if constexpr (Bias) {
    const float* bias = static_cast<const float*>(b) + column;
#pragma unroll
    for (int v = 0; v < Vec; v++) left.at[v] = narrow<T>(F::apply(widen(left.at[v]), bias[v]));
  } else {
    auto right = left;
    if (b) right = load_pack<T, Vec>(static_cast<const T*>(b) + row * b_stride + column);
#pragma unroll
    for (int v = 0; v < Vec; v++) left.at[v] = narrow<T>(F::apply(widen(left.at[v]), widen(right.at[v])));
  }
  store_pack<T, Vec>(y + row * y_stride + column, left);
}

template <class F, bool Bias>
void launch_elementwise(const KernelContext& context, const Operand& a, const Operand* b, const float* bias, const Operand& y) {
  if (a.rows == 0 || a.cols == 0) return;
  with_float_type(a.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const void* second = b ? b->data : bias;
    const int64_t second_stride = b ? b->stride : 0;
    const auto start = [&](auto vec) {
      constexpr int kVec = decltype(vec)::value;
      const auto packs_per_row = static_cast<unsigned>(a.cols / kVec);
      const auto packs = static_cast<unsigned>(a.rows * packs_per_row);
      rt::launch(context.stream, F::kName, elementwise_kernel<T, kVec, F, Bias>, rt::blocks_for(packs, kBlock), kBlock,
                 0, a.as<const T>(), a.stride, second, second_stride, y.as<T>(), y.stride, packs_per_row, packs);
    };
    if (packable<T>(a) && packable<T>(y) && (!b || packable<T>(*b)))
      start(std::integral_constant<int, kPackSize<T>>{});
    else
      start(std::integral_constant<int, 1>{});
  });
}

void add(const KernelContext& context, const Operand& a, const Operand& b, const Operand& y) {
  launch_elementwise<Add, false>(context, a, &b, nullptr, y);
}
void gelu(const KernelContext& context, const Operand& x, const Operand& y) {
  launch_elementwise<Gelu, false>(context, x, nullptr, nullptr, y);
}

}  // namespace

void add_bias(const KernelContext& context, const Operand& x, const float* bias, const Operand& y) {
  launch_elementwise<Add, true>(context, x, nullptr, bias, y);
}
void swiglu(const KernelContext& context, const Operand& gate, const Operand& up, const Operand& y) {
  launch_elementwise<Swiglu, false>(context, gate, &up, nullptr, y);
}

// ---- entries ----

constexpr OpEntry kAdd{[](const KernelContext& context, const Call& call) {
  add(context, call.in[0], call.in[1], call.out[0]);
}};

constexpr OpEntry kAddBias{[](const KernelContext& context, const Call& call) {
  add_bias(context, call.in[0], call.in[1].as<const float>(), call.out[0]);
}};

constexpr OpEntry kSwiglu{[](const KernelContext& context, const Call& call) {
  swiglu(context, call.in[0], call.in[1], call.out[0]);
}};

constexpr OpEntry kGelu{[](const KernelContext& context, const Call& call) {
  gelu(context, call.in[0], call.out[0]);
}};

}  // namespace glimt
