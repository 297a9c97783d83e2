// route_experts: scores = sigmoid(logits) [t, e]; the topK experts by scores + correction, of the topkGroups groups
// whose two best such values sum highest; their weights are the scores, divided by their sum + 1e-20 when asked,
// times scale. Chosen experts go from best to worst, the lower index first among equals. A part is one row.
#include <math.h>

#include "elementwise.h"
#include "kernel.h"

namespace glimt {
namespace {

using namespace program::op_route_experts;

Work work(const Call& call) {
  return {call.in[in_logits].rows, (40.0 + call.attrs<Attrs>().topK) * call.in[in_logits].cols};
}

// scores, ranks [e], group ranks [numGroups].
Workspace workspace(const Call& call) {
  return {0, sizeof(float) * ((uint64_t)2 * call.in[in_logits].cols + call.attrs<Attrs>().numGroups)};
}

// The place of the largest value, taken out by becoming -infinity.
uint32_t takeLargest(float* values, uint32_t count) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < count; i++) best = values[i] > values[best] ? i : best;
  values[best] = -INFINITY;
  return best;
}

void closeGroups(float* ranks, uint32_t groupSize, float* groups, uint32_t numGroups, uint32_t open) {
  for (uint32_t g = 0; g < numGroups; g++) {
    float first = -INFINITY, second = -INFINITY;
    for (uint32_t i = 0; i < groupSize; i++) {
      float rank = ranks[g * groupSize + i];
      if (rank > first) second = first, first = rank;
      else if (rank > second) second = rank;
    }
    groups[g] = groupSize > 1 ? first + second : first;
  }
  for (uint32_t i = 0; i < open; i++) takeLargest(groups, numGroups);
  for (uint32_t g = 0; g < numGroups; g++) {
    // Those taken are open.
    if (groups[g] == -INFINITY) continue;
    for (uint32_t i = 0; i < groupSize; i++) ranks[g * groupSize + i] = -INFINITY;
  }
}

void run(const Call& call, uint32_t firstRow, uint32_t lastRow, uint8_t* own) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t e = call.in[in_logits].cols;
  float *scores = (float*)own, *ranks = scores + e, *groups = ranks + e;
  for (uint32_t t = firstRow; t < lastRow; t++) {
    const float* logits = call.in[in_logits].row(t);
    mapRow(logits, logits, scores, e, [](f32x4 logit, f32x4) { return sigmoid(logit); });
    mapRow(scores, call.in[in_correction].floats(), ranks, e, add);
    if (attrs.topkGroups < attrs.numGroups) {
      closeGroups(ranks, e / attrs.numGroups, groups, attrs.numGroups, attrs.topkGroups);
    }
    int32_t* experts = (int32_t*)call.out[out_experts].row(t);
    float* weights = call.out[out_weights].row(t);
    float sum = 0;
    for (uint32_t k = 0; k < attrs.topK; k++) {
      experts[k] = (int32_t)takeLargest(ranks, e);
      weights[k] = scores[experts[k]];
      sum += weights[k];
    }
    float factor = attrs.normalise == normalise_yes ? attrs.scale / (sum + 1e-20f) : attrs.scale;
    for (uint32_t k = 0; k < attrs.topK; k++) weights[k] *= factor;
  }
}

}  // namespace

const Kernel kRouteExperts = {{{work, run}}, workspace};

}  // namespace glimt
