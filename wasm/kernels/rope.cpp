// rope: (a, b) -> (a cos - b sin, b cos + a sin) for the pairs of each head's first rotaryDim columns, (2i, 2i+1) or
// (i, i + rotaryDim/2), with row r of the tables cos, sin [m, rotaryDim/2]; other columns pass through. Part: a row.
#include "kernel.h"
#include "simd.h"

namespace glimt {
namespace {

using namespace program::op_rope;

Work work(const Call& call) { return {call.out[out_y].rows, 8.0 * call.out[out_y].cols}; }

void rotateHalf(const float* x, const float* cos, const float* sin, uint32_t half, float* y) {
  uint32_t i = 0;
  for (; i + 4 <= half; i += 4) {
    f32x4 a = load(x + i), b = load(x + half + i), c = load(cos + i), s = load(sin + i);
    store(y + i, sub(mul(a, c), mul(b, s)));
    store(y + half + i, add(mul(b, c), mul(a, s)));
  }
  for (; i < half; i++) {
    float a = x[i], b = x[half + i];
    y[i] = a * cos[i] - b * sin[i];
    y[half + i] = b * cos[i] + a * sin[i];
  }
}

void rotateInterleaved(const float* x, const float* cos, const float* sin, uint32_t half, float* y) {
  uint32_t i = 0;
  for (; i + 4 <= half; i += 4) {
    f32x4 low = load(x + 2 * i), high = load(x + 2 * i + 4), c = load(cos + i), s = load(sin + i);
    f32x4 a = wasm_i32x4_shuffle(low, high, 0, 2, 4, 6), b = wasm_i32x4_shuffle(low, high, 1, 3, 5, 7);
    f32x4 first = sub(mul(a, c), mul(b, s)), second = add(mul(b, c), mul(a, s));
    store(y + 2 * i, wasm_i32x4_shuffle(first, second, 0, 4, 1, 5));
    store(y + 2 * i + 4, wasm_i32x4_shuffle(first, second, 2, 6, 3, 7));
  }
  for (; i < half; i++) {
    float a = x[2 * i], b = x[2 * i + 1];
    y[2 * i] = a * cos[i] - b * sin[i];
    y[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

void run(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t half = attrs.rotaryDim / 2, rest = attrs.headDim - attrs.rotaryDim;
  auto rotate = attrs.pairs == pairs_half ? rotateHalf : rotateInterleaved;
  for (uint32_t r = first; r < last; r++) {
    const float *cos = call.in[in_cos].row(r), *sin = call.in[in_sin].row(r);
    for (uint32_t head = 0; head < attrs.numHeads; head++) {
      const float* x = call.in[in_x].row(r) + (size_t)head * attrs.headDim;
      float* y = call.out[out_y].row(r) + (size_t)head * attrs.headDim;
      rotate(x, cos, sin, half, y);
      if (x != y) __builtin_memcpy(y + attrs.rotaryDim, x + attrs.rotaryDim, rest * sizeof(float));
    }
  }
}

}  // namespace

const Kernel kRope = {{{work, run}}};

}  // namespace glimt
