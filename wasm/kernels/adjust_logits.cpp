// adjust_logits: copies rows of logits, changes single tokens of the copies, and makes -infinity of those that a mask leaves
// out. A part is one row.
#include <math.h>

#include "kernel.h"

namespace glimt {
namespace {

using namespace program::op_adjust_logits;

Work work(const Call& call) { return {call.out[out_adjusted].rows, 2.0 * call.in[in_logits].cols}; }

bool check(const Call& call, BadIndex& bad) {
  const Operand &logits = call.in[in_logits], &rows = call.in[in_rows], &ids = call.in[in_ids];
  const Operand &bounds = call.in[in_cuIds], &masks = call.in[in_masks], &maskOf = call.in[in_maskOf];
  return indicesInside(in_rows, rows.ints(), rows.length(), 0, (int32_t)logits.rows - 1, bad) &&
         indicesInside(in_ids, ids.ints(), ids.length(), -1, (int32_t)logits.cols - 1, bad) &&
         offsetsRise(in_cuIds, bounds.ints(), bounds.length(), ids.length(), bad) &&
         indicesInside(in_maskOf, maskOf.ints(), maskOf.length(), -1, (int32_t)masks.rows - 1, bad);
}

// From the logits as they were, so that the last change of a token is the one that counts.
void change(const float* logits, const int32_t* ids, const float* changes, uint32_t count, float* out) {
  for (uint32_t j = 0; j < count; j++) {
    if (ids[j] < 0) continue;
    float logit = logits[ids[j]], factor = changes[2 * j], addend = changes[2 * j + 1];
    out[ids[j]] = (logit > 0 ? logit / factor : logit * factor) + addend;
  }
}

void mask(const uint32_t* words, uint32_t v, float* out) {
  for (uint32_t first = 0; first < v; first += 32) {
    uint32_t word = words[first / 32], end = v - first < 32 ? v - first : 32;
    if (word == UINT32_MAX) continue;
    for (uint32_t bit = 0; bit < end; bit++)
      if (!(word >> bit & 1)) out[first + bit] = -INFINITY;
  }
}

void run(const Call& call, uint32_t firstRow, uint32_t lastRow, uint8_t*) {
  const int32_t *rows = call.in[in_rows].ints(), *ids = call.in[in_ids].ints();
  const int32_t *bounds = call.in[in_cuIds].ints(), *maskOf = call.in[in_maskOf].ints();
  uint32_t v = call.in[in_logits].cols;
  for (uint32_t a = firstRow; a < lastRow; a++) {
    const float* logits = call.in[in_logits].row(rows[a]);
    float* out = call.out[out_adjusted].row(a);
    __builtin_memcpy(out, logits, v * sizeof(float));
    uint32_t first = (uint32_t)bounds[a];
    change(logits, ids + first, call.in[in_changes].floats() + 2 * (size_t)first, (uint32_t)bounds[a + 1] - first, out);
    if (maskOf[a] >= 0) mask((const uint32_t*)call.in[in_masks].row(maskOf[a]), v, out);
  }
}

}  // namespace

const Kernel kAdjustLogits = {{{work, run}}, nullptr, check};

}  // namespace glimt
