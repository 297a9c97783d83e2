// position_embed_bicubic: y[p] = sum over the 4 x 4 cells around coords[p] = (x, y) of their weights times the rows
// of a side x side table. Keys' kernel with a = -0.75; cells outside are those of the border. A part is one point.
#include <math.h>

#include "elementwise.h"
#include "kernel.h"
#include "weights.h"

namespace glimt {
namespace {

using namespace program::op_position_embed_bicubic;

constexpr float kA = -0.75f;

// Weights of the four cells around a point `t` (0 .. 1) past the second of them.
void cubicWeights(float t, float* weights) {
  auto near = [](float d) { return ((kA + 2) * d - (kA + 3)) * d * d + 1; };
  auto far = [](float d) { return ((kA * d - 5 * kA) * d + 8 * kA) * d - 4 * kA; };
  weights[0] = far(1 + t), weights[1] = near(t), weights[2] = near(1 - t), weights[3] = far(2 - t);
}

// The cell `step` after floor(coordinate), inside the table even for coordinates that are far out or NaN.
uint32_t cell(float base, int32_t step, uint32_t side) {
  float index = base + (float)step;
  if (!(index > 0)) return 0;
  return index < (float)side ? (uint32_t)index : side - 1;
}

Work work(const Call& call) { return {call.out[out_y].rows, 64.0 * call.out[out_y].cols}; }

Workspace workspace(const Call& call) { return {0, (uint64_t)sizeof(float) * call.out[out_y].cols}; }

void run(const Call& call, uint32_t first, uint32_t last, uint8_t* own) {
  uint32_t side = call.attrs<Attrs>().side, n = call.out[out_y].cols;
  float* row = (float*)own;
  for (uint32_t p = first; p < last; p++) {
    const float* point = call.in[in_coords].row(p);
    float* y = call.out[out_y].row(p);
    float left = floorf(point[0]), top = floorf(point[1]), across[4], down[4];
    cubicWeights(point[0] - left, across);
    cubicWeights(point[1] - top, down);
    for (uint32_t c = 0; c < n; c++) y[c] = 0;
    for (int32_t i = 0; i < 16; i++) {
      uint32_t at = cell(top, i / 4 - 1, side) * side + cell(left, i % 4 - 1, side);
      f32x4 weight = splat(down[i / 4] * across[i % 4]);
      readWeightRow(call.in[in_table], at, row);
      mapRow(row, y, y, n, [=](f32x4 value, f32x4 sum) { return madd(value, weight, sum); });
    }
  }
}

}  // namespace

const Kernel kPositionEmbedBicubic = {{{work, run}}, workspace};

}  // namespace glimt
