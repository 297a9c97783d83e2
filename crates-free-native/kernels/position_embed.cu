// y[p] = sum over the 4x4 cells around coords[p] = (x, y) of cubic(x) cubic(y) table[cell], Keys' kernel with a = -0.75:
//   |d| <= 1: (a + 2) d³ - (a + 3) d² + 1      1 < |d| < 2: a d³ - 5a d² + 8a d - 4a
// A cell's index is clamped to the border, the coordinate is not. One block a patch.
#include "../runtime/launch.h"
#include "op_entry.h"
#include "weights.h"

namespace glimt {

namespace {

constexpr int kBlock = 128;
constexpr float kA = -0.75f;

__device__ __forceinline__ float near_tap(float d) { return ((kA + 2) * d - (kA + 3)) * d * d + 1; }
__device__ __forceinline__ float far_tap(float d) { return ((kA * d - 5 * kA) * d + 8 * kA) * d - 4 * kA; }

template <class Weights, class T>
__global__ void __launch_bounds__(kBlock)
    position_embed_kernel(Weights table, const float* coords, int64_t coords_stride, int side, T* y, int64_t y_stride,
                          int cols) {
  start_kernel();
  const float* coord = coords + blockIdx.x * coords_stride;
  const float left = floorf(coord[0]), top = floorf(coord[1]);
  const float tx = coord[0] - left, ty = coord[1] - top;
  const float x_taps[4] = {far_tap(1 + tx), near_tap(tx), near_tap(1 - tx), far_tap(2 - tx)};
  const float y_taps[4] = {far_tap(1 + ty), near_tap(ty), near_tap(1 - ty), far_tap(2 - ty)};
  // Clamped as floats first: an int holds what remains.
  const float limit = static_cast<float>(side + 4);
  const int x0 = static_cast<int>(fminf(fmaxf(left, -4.0f), limit)) - 1;
  const int y0 = static_cast<int>(fminf(fmaxf(top, -4.0f), limit)) - 1;
  for (int column = threadIdx.x; column < cols; column += kBlock) {
    float sum = 0;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int row = min(max(y0 + j, 0), side - 1) * side;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int64_t cell = row + min(max(x0 + i, 0), side - 1);
        sum += x_taps[i] * y_taps[j] * table.at(cell, column);
      }
    }
    y[blockIdx.x * y_stride + column] = narrow<T>(sum);
  }
}

void position_embed_bicubic(const KernelContext& context, const Operand& table, const Operand& coords, uint32_t side,
                            const Operand& y) {
  if (y.rows == 0 || y.cols == 0) return;
  with_weights(table, [&](const auto& weights) {
    with_float_type(y.dtype, [&](auto to) {
      using Weights = std::remove_cvref_t<decltype(weights)>;
      using T = typename decltype(to)::type;
      rt::launch(context.stream, "position_embed_bicubic", position_embed_kernel<Weights, T>,
                 static_cast<unsigned>(y.rows), kBlock, 0, weights, coords.as<const float>(), coords.stride,
                 static_cast<int>(side), y.as<T>(), y.stride, static_cast<int>(y.cols));
    });
  });
}

}  // namespace

constexpr OpEntry kPositionEmbedBicubic{[](const KernelContext& context, const Call& call) {
  position_embed_bicubic(context, call.in[0], call.in[1], call.attrs<program::op_position_embed_bicubic::Attrs>().side,
                         call.out[0]);
}};

}  // namespace glimt
