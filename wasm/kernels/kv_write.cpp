// kv_write: cache[slots[t] / pageSize, 0 | 1, head, slots[t] % pageSize, :] = k | v[t, head, :]; -1 skips a row.
// A part is one head of all rows, so that the last of several rows for one slot is the one that stays, whatever the
// order of parts.
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

void run(const Call& call, uint32_t firstHead, uint32_t lastHead, uint8_t*) {
  const Attrs& attrs = call.attrs<Attrs>();
  size_t headFloats = (size_t)attrs.pageSize * attrs.headDim;
  for (uint32_t t = 0; t < call.in[in_k].rows; t++) {
    int32_t slot = call.in[in_slots].ints()[t];
    if (slot < 0) continue;
    size_t page = (uint32_t)slot / attrs.pageSize, inPage = (uint32_t)slot % attrs.pageSize;
    for (uint32_t half = 0; half < 2; half++) {
      const float* from = call.in[half ? in_v : in_k].row(t);
      float* to = (float*)call.in[in_cache].data + (page * 2 + half) * attrs.numKvHeads * headFloats;
      for (uint32_t head = firstHead; head < lastHead; head++) {
        __builtin_memcpy(to + head * headFloats + inPage * attrs.headDim, from + head * attrs.headDim,
                         attrs.headDim * sizeof(float));
      }
    }
  }
}

}  // namespace

const Kernel kKvWrite = {{{work, run}}, nullptr, check};

}  // namespace glimt
