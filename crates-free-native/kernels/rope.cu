// rope:     (a, b) -> (a cos - b sin, b cos + a sin) for the pairs (2i, 2i + 1) or (i, i + rotaryDim / 2) of each
//           head's first rotaryDim columns, with row t's tables; the rest passes through.
// kv_write: cache[slot / pageSize, 0|1, head, slot % pageSize, :] = k|v[t, head, :], slots below 0 are skipped.
// One thread owns two elements, so y may be the memory of x.
#include "../runtime/launch.h"
#include "dispatch.h"

namespace glimt {

namespace {

constexpr int kBlock = 256;

template <class T>
__global__ void __launch_bounds__(kBlock)
    rope_kernel(const T* x, int64_t x_stride, const float* cos, int64_t cos_stride, const float* sin,
                int64_t sin_stride, T* y, int64_t y_stride, program::op_rope::Attrs attrs, unsigned pairs_per_head,
                unsigned pairs) {
  start_kernel();
  const unsigned index = blockIdx.x * kBlock + threadIdx.x;
  if (index >= pairs) return;
  const unsigned i = index % pairs_per_head, head = index / pairs_per_head % attrs.numHeads;
  const int64_t row = index / (pairs_per_head * attrs.numHeads);
  const unsigned half = attrs.rotaryDim / 2;
  const T* from = x + row * x_stride + head * attrs.headDim;
  T* to = y + row * y_stride + head * attrs.headDim;
  if (i >= half) {
    const unsigned first = 2 * i;
    to[first] = from[first];
    if (first + 1 < attrs.headDim) to[first + 1] = from[first + 1];
    return;
  }
  const bool interleaved = attrs.pairs == program::op_rope::pairs_interleaved;
  const unsigned first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
  const float a = widen(from[first]), b = widen(from[second]);
  const float c = cos[row * cos_stride + i], s = sin[row * sin_stride + i];
  to[first] = narrow<T>(a * c - b * s);
  to[second] = narrow<T>(b * c + a * s);
}

template <class T, int Vec>
__global__ void __launch_bounds__(kBlock)
    kv_write_kernel(const T* k, int64_t k_stride, const T* v, int64_t v_stride, const int32_t* slots, T* cache,
                    int64_t pages, program::op_kv_write::Attrs attrs, unsigned packs) {
  start_kernel();
  const unsigned index = blockIdx.x * kBlock + threadIdx.x;
  if (index >= packs) return;
  const unsigned packs_per_head = attrs.headDim / Vec;
  const unsigned column = index % packs_per_head * Vec, head = index / packs_per_head % attrs.numKvHeads;
  const int64_t row = index / (packs_per_head * attrs.numKvHeads);
  const int32_t slot = slots[row];
  const int64_t page = slot / static_cast<int32_t>(attrs.pageSize);
  if (slot < 0 || page >= pages) return;
  const int64_t place = slot % static_cast<int32_t>(attrs.pageSize);
  const int64_t plane = int64_t{attrs.pageSize} * attrs.headDim;
  T* to = cache + (page * 2 * attrs.numKvHeads + head) * plane + place * attrs.headDim + column;
  const unsigned source = head * attrs.headDim + column;
  store_pack<T, Vec>(to, load_pack<T, Vec>(k + row * k_stride + source));
  store_pack<T, Vec>(to + attrs.numKvHeads * plane, load_pack<T, Vec>(v + row * v_stride + source));
}

}  // namespace

void rope(const KernelContext& context, const View& x, const View& cos, const View& sin,
          const program::op_rope::Attrs& attrs, const View& y) {
  if (x.rows == 0 || x.cols == 0) return;
  with_float_type(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const unsigned pairs_per_head = (attrs.headDim + 1) / 2;
    const auto pairs = static_cast<unsigned>(x.rows * attrs.numHeads * pairs_per_head);
    rt::launch(context.stream, "rope", rope_kernel<T>, rt::blocks_for(pairs, kBlock), kBlock, 0, x.as<const T>(),
               x.stride, cos.as<const float>(), cos.stride, sin.as<const float>(), sin.stride, y.as<T>(), y.stride,
               attrs, pairs_per_head, pairs);
  });
}

void kv_write(const KernelContext& context, const View& k, const View& v, const int32_t* slots, const View& cache,
              const program::op_kv_write::Attrs& attrs) {
  if (k.rows == 0 || k.cols == 0) return;
  with_float_type(k.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const auto start = [&](auto vec) {
      constexpr int kVec = decltype(vec)::value;
      const auto packs = static_cast<unsigned>(k.rows * k.cols / kVec);
      rt::launch(context.stream, "kv_write", kv_write_kernel<T, kVec>, rt::blocks_for(packs, kBlock), kBlock, 0,
                 k.as<const T>(), k.stride, v.as<const T>(), v.stride, slots, cache.as<T>(), cache.rows, attrs, packs);
    };
    if (packable<T>(k) && packable<T>(v) && packable<T>(cache) && attrs.headDim % kPackSize<T> == 0)
      start(std::integral_constant<int, kPackSize<T>>{});
    else
      start(std::integral_constant<int, 1>{});
  });
}

}  // namespace glimt
