// all_reduce:     y = the sum of x over the ranks of a stage
// all_gather:     y[i, (s * ranks + r) * w + j] = column s * w + j of row i of rank r's x
// reduce_scatter: y = this rank's columns of that sum, of `ranks` equal parts
// send, receive:  x of one rank is y of another
// Ranks exchange whole stretches of memory: what has gaps or another order is moved to the workspace first, and what does
// not come as y wants it is put in its place behind.
#include "../runtime/communicator.h"
#include "../runtime/error.h"
#include "../runtime/launch.h"
#include "dispatch.h"
#include "op_entry.h"

namespace glimt {

namespace {

constexpr int kBlock = 256;

// Stretches of `width` elements in three nested loops: `rows` times `outer` times `inner` of them.
struct Stretches {
  unsigned rows, outer, inner, width;
};
// How far apart they lie, in elements.
struct Steps {
  int64_t row, outer, inner;
};

template <class T, int Vec>
__global__ void __launch_bounds__(kBlock)
    move_stretches_kernel(const T* from, Steps from_steps, T* to, Steps to_steps, Stretches size, unsigned packs) {
  start_kernel();
  const unsigned index = blockIdx.x * kBlock + threadIdx.x;
  if (index >= packs) return;
  const unsigned across = size.width / Vec, stretch = index / across, column = index % across * Vec;
  const int64_t inner = stretch % size.inner, outer = stretch / size.inner % size.outer;
  const int64_t row = stretch / size.inner / size.outer;
  const auto place = [&](const Steps& steps) {
    return row * steps.row + outer * steps.outer + inner * steps.inner + column;
  };
  store_pack<T, Vec>(to + place(to_steps), load_pack<T, Vec>(from + place(from_steps)));
}

void move_stretches(const KernelContext& context, DType dtype, const void* from, const Steps& from_steps, void* to,
                    const Steps& to_steps, const Stretches& size) {
  with_float_type(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const auto start = [&](auto vec) {
      constexpr int kVec = decltype(vec)::value;
      const unsigned packs = size.rows * size.outer * size.inner * (size.width / kVec);
      rt::launch(context.stream, "move_stretches", move_stretches_kernel<T, kVec>, rt::blocks_for(packs, kBlock), kBlock,
                 0, static_cast<const T*>(from), from_steps, static_cast<T*>(to), to_steps, size, packs);
    };
    constexpr int64_t kVec = kPackSize<T>;
    bool packable = size.width % kVec == 0;
    for (const void* address : {from, static_cast<const void*>(to)})
      packable = packable && reinterpret_cast<uintptr_t>(address) % 16 == 0;
    for (const Steps& steps : {from_steps, to_steps})
      packable = packable && steps.row % kVec == 0 && steps.outer % kVec == 0 && steps.inner % kVec == 0;
    if (packable) return start(std::integral_constant<int, kPackSize<T>>{});
    start(std::integral_constant<int, 1>{});
  });
}

bool has_gaps(const Operand& x) { return x.rows > 1 && x.stride != x.cols; }
size_t count_of(const Operand& x) { return static_cast<size_t>(x.rows * x.cols); }
size_t bytes_of(const Operand& x) { return storageBytes(x.dtype, 1, count_of(x)); }

// Rows of x between memory without gaps and x.
void copy_rows(const KernelContext& context, const Operand& x, const void* from, int64_t from_step, void* to,
               int64_t to_step) {
  move_stretches(context, x.dtype, from, {from_step, 0, 0}, to, {to_step, 0, 0},
                 {static_cast<unsigned>(x.rows), 1, 1, static_cast<unsigned>(x.cols)});
}

// x without gaps: in `memory` if need be.
const void* packed(const KernelContext& context, const Operand& x, void* memory) {
  if (!has_gaps(x)) return x.data;
  copy_rows(context, x, x.data, x.stride, memory, x.cols);
  return memory;
}
size_t packed_bytes(const Operand& x) { return has_gaps(x) ? workspace_bytes(bytes_of(x)) : 0; }

void all_reduce(const KernelContext& context, const Operand& x, const Operand& y) {
  if (count_of(x) == 0) return;
  // In the workspace where y has gaps.
  void* sum = has_gaps(y) ? context.workspace : y.data;
  context.communicator->all_reduce(context.stream, packed(context, x, sum), sum, count_of(x), x.dtype);
  if (has_gaps(y)) copy_rows(context, y, sum, y.cols, y.data, y.stride);
}

// What the ranks give comes one after another, which is y when that is one row and not cut.
bool comes_in_order(const Operand& x, const program::op_all_gather::Attrs& attrs) {
  return x.rows == 1 && attrs.stretches == 1;
}

void all_gather(const KernelContext& context, const Operand& x, const program::op_all_gather::Attrs& attrs,
                const Operand& y) {
  if (count_of(x) == 0) return;
  const void* given = packed(context, x, context.workspace);
  const bool in_order = comes_in_order(x, attrs);
  void* all = in_order ? y.data : static_cast<char*>(context.workspace) + packed_bytes(x);
  context.communicator->all_gather(context.stream, given, all, count_of(x), x.dtype);
  if (in_order) return;
  const auto rows = static_cast<unsigned>(x.rows), width = static_cast<unsigned>(x.cols / attrs.stretches);
  move_stretches(context, x.dtype, all, {x.cols, width, x.rows * x.cols}, y.data,
                 {y.stride, int64_t{attrs.ranks} * width, width}, {rows, attrs.stretches, attrs.ranks, width});
}

size_t all_gather_workspace(const Operand& x, const program::op_all_gather::Attrs& attrs) {
  return packed_bytes(x) + (comes_in_order(x, attrs) ? 0 : workspace_bytes(bytes_of(x) * attrs.ranks));
}

// The parts of the ranks one after another, each without gaps.
void reduce_scatter(const KernelContext& context, const Operand& x, unsigned ranks, const Operand& y) {
  if (count_of(y) == 0) return;
  const void* given = x.data;
  if (x.rows > 1) {
    given = context.workspace;
    move_stretches(context, x.dtype, x.data, {x.stride, y.cols, 0}, context.workspace, {y.cols, y.rows * y.cols, 0},
                   {static_cast<unsigned>(x.rows), ranks, 1, static_cast<unsigned>(y.cols)});
  }
  void* sum = has_gaps(y) ? static_cast<char*>(context.workspace) + workspace_bytes(bytes_of(x)) : y.data;
  context.communicator->reduce_scatter(context.stream, given, sum, count_of(y), x.dtype);
  if (has_gaps(y)) copy_rows(context, y, sum, y.cols, y.data, y.stride);
}

void send(const KernelContext& context, const Operand& x, unsigned peer) {
  if (count_of(x) == 0) return;
  context.communicator->send(context.stream, packed(context, x, context.workspace), count_of(x), x.dtype,
                             static_cast<int>(peer));
}

void receive(const KernelContext& context, const Operand& y, unsigned peer) {
  if (count_of(y) == 0) return;
  void* got = has_gaps(y) ? context.workspace : y.data;
  context.communicator->receive(context.stream, got, count_of(y), y.dtype, static_cast<int>(peer));
  if (has_gaps(y)) copy_rows(context, y, got, y.cols, y.data, y.stride);
}

size_t bytes_of_x(const Call& call) { return bytes_of(call.in[0]); }

}  // namespace

// ---- entries ----

constexpr OpEntry kAllReduce{
    .run = [](const KernelContext& context, const Call& call) { all_reduce(context, call.in[0], call.out[0]); },
    .workspace = [](const KernelTerms&, const Call& call) { return packed_bytes(call.out[0]); },
    .gives = bytes_of_x};

constexpr OpEntry kAllGather{
    .run = [](const KernelContext& context, const Call& call) {
      all_gather(context, call.in[0], call.attrs<program::op_all_gather::Attrs>(), call.out[0]);
    },
    .workspace = [](const KernelTerms&, const Call& call) {
      return all_gather_workspace(call.in[0], call.attrs<program::op_all_gather::Attrs>());
    },
    .gives = bytes_of_x};

constexpr OpEntry kReduceScatter{
    .run = [](const KernelContext& context, const Call& call) {
      reduce_scatter(context, call.in[0], call.attrs<program::op_reduce_scatter::Attrs>().ranks, call.out[0]);
    },
    .workspace = [](const KernelTerms&, const Call& call) {
      return workspace_bytes(bytes_of(call.in[0])) + packed_bytes(call.out[0]);
    },
    .gives = bytes_of_x};

constexpr OpEntry kSend{
    .run = [](const KernelContext& context, const Call& call) {
      send(context, call.in[0], call.attrs<program::op_send::Attrs>().peer);
    },
    .workspace = [](const KernelTerms&, const Call& call) { return packed_bytes(call.in[0]); },
    .gives = bytes_of_x};

constexpr OpEntry kReceive{
    .run = [](const KernelContext& context, const Call& call) {
      receive(context, call.out[0], call.attrs<program::op_receive::Attrs>().peer);
    },
    .workspace = [](const KernelTerms&, const Call& call) { return packed_bytes(call.out[0]); },
    .gives = [](const Call&) { return size_t{0}; }};

}  // namespace glimt
