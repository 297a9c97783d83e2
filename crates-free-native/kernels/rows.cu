// embed:        y[t] = table[ids[t] - first], from the table's type to the activations'; zeros for ids of other parts, and
//               for -1
// gather_rows:  y[i] = x[rows[i]]
// scatter_rows: x[rows[i]] = values[i]
// A row that an index in device memory puts outside becomes NaN (reads) or is skipped (writes); indices in host
// memory were checked before the launch.
#include "../runtime/launch.h"
#include "index_checks.h"
#include "weights.h"

namespace glimt {

namespace {

constexpr int kBlock = 256;

template <class T>
__device__ __forceinline__ T not_a_number() {
  return narrow<T>(__uint_as_float(0x7fc00000u));
}

// A table's rows are those of indices [first, first + its rows), of [0, total): the other parts are elsewhere.
struct TablePart {
  int64_t first, total;
  // Indices from here on that name none of its rows are rows of zeros, others a mistake: -1 names no token.
  int64_t least = 0;
};

template <class T, int Vec, bool Scatter>
__global__ void __launch_bounds__(kBlock)
    move_rows_kernel(const T* from, int64_t from_stride, int64_t from_rows, TablePart part, const int32_t* rows, T* to,
                     int64_t to_stride, int64_t to_rows, unsigned packs_per_row, unsigned packs) {
  start_kernel();
  const unsigned index = blockIdx.x * kBlock + threadIdx.x;
  if (index >= packs) return;
  const int64_t i = index / packs_per_row;
  const unsigned column = index % packs_per_row * Vec;
  const int64_t given = Scatter ? i : rows[i], source = given - part.first, target = Scatter ? rows[i] : i;
  if (target < 0 || target >= to_rows) return;
  Pack<T, Vec> result;
  if (source < 0 || source >= from_rows) {
    const T filler = given >= part.least && given < part.total ? narrow<T>(0) : not_a_number<T>();
#pragma unroll
    for (int v = 0; v < Vec; v++) result.at[v] = filler;
  } else {
    result = load_pack<T, Vec>(from + source * from_stride + column);
  }
  store_pack<T, Vec>(to + target * to_stride + column, result);
}

template <class T, bool Scatter>
void move_rows(const KernelContext& context, const char* name, const Operand& from, const TablePart& part,
               const int32_t* rows, int64_t count, const Operand& to) {
  if (count == 0 || to.cols == 0) return;
  const auto start = [&](auto vec) {
    constexpr int kVec = decltype(vec)::value;
    const auto packs_per_row = static_cast<unsigned>(to.cols / kVec);
    const auto packs = static_cast<unsigned>(count * packs_per_row);
    rt::launch(context.stream, name, move_rows_kernel<T, kVec, Scatter>, rt::blocks_for(packs, kBlock), kBlock, 0,
               from.as<const T>(), from.stride, from.rows, part, rows, to.as<T>(), to.stride, to.rows, packs_per_row, packs);
  };
  if (packable<T>(from) && packable<T>(to)) return start(std::integral_constant<int, kPackSize<T>>{});
  start(std::integral_constant<int, 1>{});
}

// Element by element, from any type to another.
template <class Weights, class T>
__global__ void __launch_bounds__(kBlock)
    convert_rows_kernel(Weights table, int64_t table_rows, TablePart part, const int32_t* ids, T* y, int64_t y_stride,
                        unsigned cols, unsigned count) {
  start_kernel();
  const unsigned index = blockIdx.x * kBlock + threadIdx.x;
  if (index >= count) return;
  const int64_t row = index / cols, id = ids[row], own = id - part.first;
  const unsigned column = index % cols;
  T& to = y[row * y_stride + column];
  if (own >= 0 && own < table_rows) to = narrow<T>(table.at(own, static_cast<int>(column)));
  else to = id >= part.least && id < part.total ? narrow<T>(0) : not_a_number<T>();
}

void embed(const KernelContext& context, const int32_t* ids, const Operand& table,
           const program::op_embed::Attrs& attrs, const Operand& y) {
  if (y.rows == 0 || y.cols == 0) return;
  const TablePart part{attrs.first, attrs.total, -1};
  with_float_type(y.dtype, [&](auto to) {
    using T = typename decltype(to)::type;
    if (table.dtype == y.dtype) return move_rows<T, false>(context, "embed", table, part, ids, y.rows, y);
    with_weights(table, [&](const auto& weights) {
      const auto cols = static_cast<unsigned>(y.cols), count = static_cast<unsigned>(y.rows * y.cols);
      rt::launch(context.stream, "embed", convert_rows_kernel<std::remove_cvref_t<decltype(weights)>, T>,
                 rt::blocks_for(count, kBlock), kBlock, 0, weights, table.rows, part, ids, y.as<T>(), y.stride, cols,
                 count);
    });
  });
}

void gather_rows(const KernelContext& context, const Operand& x, const int32_t* rows, const Operand& y) {
  with_float_type(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    move_rows<T, false>(context, "gather_rows", x, {0, x.rows}, rows, y.rows, y);
  });
}

void scatter_rows(const KernelContext& context, const Operand& values, const int32_t* rows, const Operand& x) {
  with_float_type(x.dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    move_rows<T, true>(context, "scatter_rows", values, {0, values.rows}, rows, values.rows, x);
  });
}

}  // namespace

// ---- entries ----

constexpr OpEntry kEmbed{[](const KernelContext& context, const Call& call) {
                           embed(context, call.in[0].as<const int32_t>(), call.in[1],
                                 call.attrs<program::op_embed::Attrs>(), call.out[0]);
                         },
                         nullptr, [](const Call& call) {
                           check_all(call, 0, "id", call.attrs<program::op_embed::Attrs>().total, true);
                         }};

constexpr OpEntry kGatherRows{[](const KernelContext& context, const Call& call) {
                                gather_rows(context, call.in[0], call.in[1].as<const int32_t>(), call.out[0]);
                              },
                              nullptr, [](const Call& call) { check_all(call, 1, "row", call.in[0].rows); }};

constexpr OpEntry kScatterRows{[](const KernelContext& context, const Call& call) {
                                 scatter_rows(context, call.in[1], call.in[2].as<const int32_t>(), call.out[0]);
                               },
                               nullptr, [](const Call& call) { check_all(call, 2, "row", call.out[0].rows); }};

}  // namespace glimt
