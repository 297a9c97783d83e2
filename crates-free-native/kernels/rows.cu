// embed:        y[t] = table[ids[t]], from the table's type to the activations'
// gather_rows:  y[i] = x[rows[i]]
// scatter_rows: x[rows[i]] = values[i]
// A row that an index in device memory puts outside becomes NaN (reads) or is skipped (writes); indices in host
// memory were checked before the launch.
#include "../runtime/launch.h"
#include "dispatch.h"
#include "index_checks.h"

namespace glimt {

namespace {

constexpr int kBlock = 256;

template <class From, class To, int Vec, bool Scatter>
__global__ void __launch_bounds__(kBlock)
    move_rows_kernel(const From* from, int64_t from_stride, int64_t from_rows, const int32_t* rows, To* to,
                     int64_t to_stride, int64_t to_rows, unsigned packs_per_row, unsigned packs) {
  start_kernel();
  const unsigned index = blockIdx.x * kBlock + threadIdx.x;
  if (index >= packs) return;
  const int64_t i = index / packs_per_row;
  const unsigned column = index % packs_per_row * Vec;
  const int64_t source = Scatter ? i : rows[i], target = Scatter ? rows[i] : i;
  if (target < 0 || target >= to_rows) return;
  Pack<To, Vec> result;
  if (source < 0 || source >= from_rows) {
#pragma unroll
    for (int v = 0; v < Vec; v++) result.at[v] = narrow<To>(__uint_as_float(0x7fc00000u));
  } else {
    const auto pack = load_pack<From, Vec>(from + source * from_stride + column);
#pragma unroll
    for (int v = 0; v < Vec; v++) {
      if constexpr (std::is_same_v<From, To>)
        result.at[v] = pack.at[v];
      else
        result.at[v] = narrow<To>(widen(pack.at[v]));
    }
  }
  store_pack<To, Vec>(to + target * to_stride + column, result);
}

template <class From, class To, bool Scatter>
void move_rows(const KernelContext& context, const char* name, const Operand& from, const int32_t* rows, int64_t count,
               const Operand& to) {
  if (count == 0 || to.cols == 0) return;
  const auto start = [&](auto vec) {
    constexpr int kVec = decltype(vec)::value;
    const auto packs_per_row = static_cast<unsigned>(to.cols / kVec);
    const auto packs = static_cast<unsigned>(count * packs_per_row);
    rt::launch(context.stream, name, move_rows_kernel<From, To, kVec, Scatter>, rt::blocks_for(packs, kBlock), kBlock,
               0, from.as<const From>(), from.stride, from.rows, rows, to.as<To>(), to.stride, to.rows, packs_per_row,
               packs);
  };
  if constexpr (std::is_same_v<From, To>) {
    if (packable<From>(from) && packable<To>(to)) return start(std::integral_constant<int, kPackSize<To>>{});
  }
  start(std::integral_constant<int, 1>{});
}

void embed(const KernelContext& context, const int32_t* ids, const Operand& table, const Operand& y) {
  with_float_type(table.dtype, [&](auto from) {
    with_float_type(y.dtype, [&](auto to) {
      move_rows<typename decltype(from)::type, typename decltype(to)::type, false>(context, "embed", table, ids, y.rows,
                                                                                   y);
    });
  });
}

void gather_rows(const KernelContext& context, const Operand& x, const int32_t* rows, const Operand& y) {
  with_float_type(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    move_rows<T, T, false>(context, "gather_rows", x, rows, y.rows, y);
  });
}

void scatter_rows(const KernelContext& context, const Operand& values, const int32_t* rows, const Operand& x) {
  with_float_type(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    move_rows<T, T, true>(context, "scatter_rows", values, rows, values.rows, x);
  });
}

}  // namespace

// ---- entries ----

constexpr OpEntry kEmbed{[](const KernelContext& context, const Call& call) {
                           embed(context, call.in[0].as<const int32_t>(), call.in[1], call.out[0]);
                         },
                         nullptr, [](const Call& call) { check_all(call, 0, "id", call.in[1].rows); }};

constexpr OpEntry kGatherRows{[](const KernelContext& context, const Call& call) {
                                gather_rows(context, call.in[0], call.in[1].as<const int32_t>(), call.out[0]);
                              },
                              nullptr, [](const Call& call) { check_all(call, 1, "row", call.in[0].rows); }};

constexpr OpEntry kScatterRows{[](const KernelContext& context, const Call& call) {
                                 scatter_rows(context, call.in[1], call.in[2].as<const int32_t>(), call.out[0]);
                               },
                               nullptr, [](const Call& call) { check_all(call, 2, "row", call.out[0].rows); }};

}  // namespace glimt
