// rope:     (a, b) -> (a cos - b sin, b cos + a sin) for the pairs (2i, 2i + 1) or (i, i + rotaryDim / 2) of each
//           head's first rotaryDim columns, with row t's tables; the rest passes through.
// kv_write: cache[slot / pageSize, 0|1, head, slot % pageSize, :] = k|v[t, head, :], slots below 0 are skipped.
// rope_kv_write: both at once: y = rope(q), and rope(k) and v to the cache.
// One thread owns two elements (rope) or two packs of them, so y may be the memory of x.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "index_checks.h"

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

template <class T>
struct RopeKvArguments {
  const T *q, *k, *v;
  const float *cos, *sin;
  const int32_t* slots;
  T *y, *cache;
  int64_t q_stride, k_stride, v_stride, cos_stride, sin_stride, y_stride, pages;
  unsigned heads, kv_heads, head_dim, half, page_size;
  // Units of 2 Vec elements, counted over the heads of q, k and v of all rows.
  unsigned units_per_head, units;
};

constexpr int kUnitBlock = 128;

template <class T, int Vec, bool Interleaved>
__global__ void __launch_bounds__(kUnitBlock) rope_kv_write_kernel(RopeKvArguments<T> args) {
  start_kernel();
  const unsigned index = blockIdx.x * kUnitBlock + threadIdx.x;
  if (index >= args.units) return;
  const unsigned all_heads = args.heads + 2 * args.kv_heads, pair = index % args.units_per_head * Vec;
  const unsigned head = index / args.units_per_head % all_heads;
  const int64_t row = index / args.units_per_head / all_heads;

  const T* from = args.q + row * args.q_stride + head * args.head_dim;
  T* to = args.y + row * args.y_stride + head * args.head_dim;
  const bool is_value = head >= args.heads + args.kv_heads;
  if (head >= args.heads) {
    const int32_t slot = args.slots[row];
    const int64_t page = slot / static_cast<int32_t>(args.page_size);
    if (slot < 0 || page >= args.pages) return;
    const unsigned kv_head = head - args.heads - (is_value ? args.kv_heads : 0);
    const int64_t place = slot % static_cast<int32_t>(args.page_size), plane = int64_t{args.page_size} * args.head_dim;
    from = (is_value ? args.v + row * args.v_stride : args.k + row * args.k_stride) + kv_head * args.head_dim;
    to = args.cache + ((page * 2 + is_value) * args.kv_heads + kv_head) * plane + place * args.head_dim;
  }

  const bool rotates = !is_value && pair < args.half;
  // Vec pairs: neighbours, or each in both packs.
  const unsigned first = Interleaved || !rotates ? 2 * pair : pair;
  const unsigned second = Interleaved || !rotates ? 2 * pair + Vec : pair + args.half;
  // Heads of an odd size end in half a unit.
  const bool has_second = second < args.head_dim;
  Pack<T, Vec> low = load_pack<T, Vec>(from + first), high = low;
  if (has_second) high = load_pack<T, Vec>(from + second);
  if (rotates) {
    constexpr int kPart = Vec < 4 ? Vec : 4;
#pragma unroll
    for (int part = 0; part < Vec; part += kPart) {
      const auto cos = load_pack<float, kPart>(args.cos + row * args.cos_stride + pair + part);
      const auto sin = load_pack<float, kPart>(args.sin + row * args.sin_stride + pair + part);
#pragma unroll
      for (int p = 0; p < kPart; p++) {
        const int i = part + p;
        // Pair i is elements (2 i, 2 i + 1) of both packs in a row, or (i, Vec + i).
        T& left = !Interleaved ? low.at[i] : 2 * i < Vec ? low.at[2 * i] : high.at[(2 * i) % Vec];
        T& right = !Interleaved ? high.at[i] : 2 * i + 1 < Vec ? low.at[2 * i + 1] : high.at[(2 * i + 1) % Vec];
        const float a = widen(left), b = widen(right);
        left = narrow<T>(a * cos.at[p] - b * sin.at[p]);
        right = narrow<T>(b * cos.at[p] + a * sin.at[p]);
      }
    }
  }
  store_pack<T, Vec>(to + first, low);
  if (has_second) store_pack<T, Vec>(to + second, high);
}

template <class T, int Vec>
void launch_rope_kv_write(const KernelContext& context, const Operand& q, const RopeKvArguments<T>& args,
                          bool interleaved) {
  RopeKvArguments<T> counted = args;
  counted.units_per_head = (args.head_dim + 2 * Vec - 1) / (2 * Vec);
  counted.units = static_cast<unsigned>(q.rows) * (args.heads + 2 * args.kv_heads) * counted.units_per_head;
  rt::launch(context.stream, "rope_kv_write",
             interleaved ? rope_kv_write_kernel<T, Vec, true> : rope_kv_write_kernel<T, Vec, false>,
             rt::blocks_for(counted.units, kUnitBlock), kUnitBlock, 0, counted);
}

}  // namespace

void rope_kv_write(const KernelContext& context, const Operand& q, const Operand& k, const Operand& v, const Operand& cos,
                   const Operand& sin, const int32_t* slots, const Operand& cache,
                   const program::op_rope_attention_paged::Attrs& attrs, const Operand& y) {
  if (q.rows == 0 || q.cols == 0) return;
  with_float_type(q.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const RopeKvArguments<T> args{q.as<const T>(),
                                  k.as<const T>(),
                                  v.as<const T>(),
                                  cos.as<const float>(),
                                  sin.as<const float>(),
                                  slots,
                                  y.as<T>(),
                                  cache.as<T>(),
                                  q.stride,
                                  k.stride,
                                  v.stride,
                                  cos.stride,
                                  sin.stride,
                                  y.stride,
                                  cache.rows,
                                  attrs.numHeads,
                                  attrs.numKvHeads,
                                  attrs.headDim,
                                  attrs.rotaryDim / 2,
                                  attrs.pageSize,
                                  0,
                                  0};
    constexpr int kVec = kPackSize<T>;
    const bool interleaved = attrs.pairs == program::op_rope_attention_paged::pairs_interleaved;
    const bool packs = packable<T>(q) && packable<T>(k) && packable<T>(v) && packable<T>(y) && packable<T>(cache) &&
                       packable<float>(cos) && packable<float>(sin) && attrs.headDim % (2 * kVec) == 0 &&
                       args.half % kVec == 0;
    if (packs)
      launch_rope_kv_write<T, kVec>(context, q, args, interleaved);
    else
      launch_rope_kv_write<T, 1>(context, q, args, interleaved);
  });
}

namespace {

void rope(const KernelContext& context, const Operand& x, const Operand& cos, const Operand& sin,
          const program::op_rope::Attrs& attrs, const Operand& y) {
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

void kv_write(const KernelContext& context, const Operand& k, const Operand& v, const int32_t* slots, const Operand& cache,
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

}  // namespace

// ---- entries ----

constexpr OpEntry kRope{[](const KernelContext& context, const Call& call) {
  rope(context, call.in[0], call.in[1], call.in[2], call.attrs<program::op_rope::Attrs>(), call.out[0]);
}};

constexpr OpEntry kKvWrite{
    [](const KernelContext& context, const Call& call) {
      kv_write(context, call.in[0], call.in[1], call.in[2].as<const int32_t>(), call.in[3],
               call.attrs<program::op_kv_write::Attrs>());
    },
    nullptr,
    [](const Call& call) {
      check_slots(call, 2, call.in[3].rows, call.attrs<program::op_kv_write::Attrs>().pageSize);
    }};

}  // namespace glimt
