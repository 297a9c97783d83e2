// kv_write: cache[slots[t] / pageSize, 0 | 1, head, slots[t] % pageSize, :] = k | v[t, head, :]; -1 skips a row.
// A part is one head of all rows, so that the last of several rows for one slot is the one that stays, whatever the
// order of parts.
#include "block_weights.h"
#include "glimt_float.h"
#include "kernel.h"

namespace glimt {
namespace {

using namespace program::op_kv_write;

Work work(const Call& call) {
  return {call.attrs<Attrs>().numKvHeads, 4.0 * call.in[in_k].rows * call.attrs<Attrs>().headDim};
}

bool check(const Call& call, BadIndex& bad) {
  const Operand& slots = call.in[in_slots];
  double capacity = (double)call.in[in_cache].rows * call.attrs<Attrs>().pageSize;
  int32_t high = capacity <= INT32_MAX ? (int32_t)capacity - 1 : INT32_MAX;
  return indicesInside(in_slots, slots.ints(), slots.length(), -1, high, bad);
}

void writeRow(DType dtype, const float* from, uint32_t dims, uint8_t* to) {
  if (dtype == DType::f32) {
    __builtin_memcpy(to, from, dims * sizeof(float));
    return;
  }
  if (isBlockFormat(dtype)) {
    convertBlocks(to, dtype, (const uint8_t*)from, DType::f32, dims);
    return;
  }
  for (uint32_t d = 0; d < dims; d++) storeFloat(dtype, to, d, from[d]);
}

void run(const Call& call, uint32_t firstHead, uint32_t lastHead, uint8_t*) {
  const Attrs& attrs = call.attrs<Attrs>();
  const Operand& cache = call.in[in_cache];
  size_t rowBytes = (size_t)storageBytes(cache.dtype, 1, attrs.headDim), headBytes = rowBytes * attrs.pageSize;
  for (uint32_t t = 0; t < call.in[in_k].rows; t++) {
    int32_t slot = call.in[in_slots].ints()[t];
    if (slot < 0) continue;
    size_t page = (uint32_t)slot / attrs.pageSize, inPage = (uint32_t)slot % attrs.pageSize;
    for (uint32_t half = 0; half < 2; half++) {
      const float* from = call.in[half ? in_v : in_k].row(t);
      uint8_t* to = cache.data + (page * 2 + half) * attrs.numKvHeads * headBytes + inPage * rowBytes;
      for (uint32_t head = firstHead; head < lastHead; head++) {
        writeRow(cache.dtype, from + (size_t)head * attrs.headDim, attrs.headDim, to + head * headBytes);
      }
    }
  }
}

}  // namespace

const Kernel kKvWrite = {{{work, run}}, nullptr, check};

}  // namespace glimt
