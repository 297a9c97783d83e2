// rms_norm: y = x / sqrt(mean(x²) + eps) * w over each group of n columns.
// add_rms_norm: sum = a + b, y = rms_norm(sum). layer_norm: y = (x - mean) / sqrt(var + eps) * w + b by row, the
// variance from a second pass over x - mean. A part is one row.
#include <math.h>

#include "elementwise.h"
#include "kernel.h"

namespace glimt {
namespace {

Work work(const Call& call) { return {call.out[0].rows, 8.0 * call.out[0].cols}; }

void rmsNorm(const float* x, const float* w, uint32_t n, float eps, float* y) {
  float squares = sumRow(x, n, [](f32x4 v) { return mul(v, v); });
  f32x4 factor = splat(1.0f / sqrtf(squares / (float)n + eps));
  mapRow(x, w, y, n, [=](f32x4 v, f32x4 weight) { return mul(mul(v, factor), weight); });
}

void runRmsNorm(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  using namespace program::op_rms_norm;
  const Operand& w = call.in[in_w];
  uint32_t n = w.length();
  for (uint32_t r = first; r < last; r++) {
    for (uint32_t c = 0; c < call.out[out_y].cols; c += n) {
      rmsNorm(call.in[in_x].row(r) + c, w.floats(), n, call.attrs<Attrs>().eps, call.out[out_y].row(r) + c);
    }
  }
}

void runAddRmsNorm(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  using namespace program::op_add_rms_norm;
  uint32_t n = call.in[in_w].length();
  for (uint32_t r = first; r < last; r++) {
    float* sum = call.out[out_sum].row(r);
    mapRow(call.in[in_a].row(r), call.in[in_b].row(r), sum, n, add);
    rmsNorm(sum, call.in[in_w].floats(), n, call.attrs<Attrs>().eps, call.out[out_y].row(r));
  }
}

void runLayerNorm(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  using namespace program::op_layer_norm;
  const float *w = call.in[in_w].floats(), *b = call.in[in_b].floats();
  uint32_t n = call.in[in_w].length();
  for (uint32_t r = first; r < last; r++) {
    const float* x = call.in[in_x].row(r);
    float* y = call.out[out_y].row(r);
    float mean = sumRow(x, n, [](f32x4 v) { return v; }) / (float)n;
    f32x4 center = splat(-mean);
    mapRow(x, x, y, n, [=](f32x4 v, f32x4) { return add(v, center); });
    float squares = sumRow(y, n, [](f32x4 v) { return mul(v, v); });
    f32x4 factor = splat(1.0f / sqrtf(squares / (float)n + call.attrs<Attrs>().eps));
    mapRow(y, w, y, n, [=](f32x4 v, f32x4 weight) { return mul(mul(v, factor), weight); });
    mapRow(y, b, y, n, add);
  }
}

}  // namespace

const Kernel kRmsNorm = {{{work, runRmsNorm}}};
const Kernel kAddRmsNorm = {{{work, runAddRmsNorm}}};
const Kernel kLayerNorm = {{{work, runLayerNorm}}};

}  // namespace glimt
