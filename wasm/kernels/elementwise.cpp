// add: y = a + b. add_bias: y = x + bias for each row. swiglu: y = gate sigmoid(gate) up.
// gelu: y = x/2 (1 + erf(x / sqrt 2)), computed as x/2 erfc(-x / sqrt 2), which does not cancel for negative x.
#include "elementwise.h"

#include "kernel.h"

namespace glimt {
namespace {

Work work(const Call& call) { return {call.out[0].rows, 4.0 * call.out[0].cols}; }
Work expWork(const Call& call) { return {call.out[0].rows, 40.0 * call.out[0].cols}; }

void runAdd(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  for (uint32_t r = first; r < last; r++) {
    mapRow(call.in[0].row(r), call.in[1].row(r), call.out[0].row(r), call.out[0].cols, add);
  }
}

void runAddBias(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  const float* bias = call.in[program::op_add_bias::in_bias].floats();
  for (uint32_t r = first; r < last; r++) {
    mapRow(call.in[0].row(r), bias, call.out[0].row(r), call.out[0].cols, add);
  }
}

void runSwiglu(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  for (uint32_t r = first; r < last; r++) {
    mapRow(call.in[0].row(r), call.in[1].row(r), call.out[0].row(r), call.out[0].cols,
           [](f32x4 gate, f32x4 up) { return mul(swish(gate), up); });
  }
}

f32x4 gelu(f32x4 x) {
  return mul(mul(splat(&kErfc.half), x), erfc(mul(splat(&kErfc.minusRootHalf), x)));
}

void runGelu(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  for (uint32_t r = first; r < last; r++) {
    const float* x = call.in[0].row(r);
    float* y = call.out[0].row(r);
    uint32_t c = 0, cols = call.out[0].cols;
    for (; c + 4 <= cols; c += 4) store(y + c, gelu(load(x + c)));
    if (c < cols) storePart(y + c, gelu(loadPart(x + c, cols - c)), cols - c);
  }
}

}  // namespace

const Kernel kAdd = {{{work, runAdd}}};
const Kernel kAddBias = {{{work, runAddBias}}};
const Kernel kSwiglu = {{{expWork, runSwiglu}}};
const Kernel kGelu = {{{expWork, runGelu}}};

}  // namespace glimt
