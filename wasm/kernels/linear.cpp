// linear: y = x wᵀ, and linear_bias: y = x wᵀ + bias. x [m, k], w [n, k] in tiles, y [m, n].
// A part is a block of rows of x against a range of rows of w.
#include "gemm.h"
#include "tile.h"

namespace glimt {
namespace {

struct Split {
  uint32_t blockRows, rowBlocks, columns, columnBlocks;
};

Split split(const Call& call) {
  uint32_t m = call.in[0].rows, n = call.in[1].rows, k = call.in[1].cols;
  if (m == 0 || n == 0) return {1, 0, 1, 0};
  // Blocks of equal length, in whole panels.
  uint32_t fewest = (m + kBlockRows - 1) / kBlockRows, even = (m + fewest - 1) / fewest;
  uint32_t blockRows = fewest == 1 ? m : (even + kPanelRows - 1) / kPanelRows * kPanelRows;
  uint32_t rowBlocks = (m + blockRows - 1) / blockRows;
  uint32_t columns = columnsOfPart(call, blockRows, n, k, rowBlocks);
  return {blockRows, rowBlocks, columns, (n + columns - 1) / columns};
}

Work work(const Call& call) {
  Split s = split(call);
  return {s.rowBlocks * s.columnBlocks, 2.0 * s.blockRows * s.columns * call.in[1].cols};
}

Workspace workspace(const Call&) { return {0, multiplyScratch()}; }

void multiplyParts(const Call& call, const float* bias, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  Split s = split(call);
  const Operand &x = call.in[0], &w = call.in[1], &y = call.out[0];
  for (uint32_t part = firstPart; part < lastPart; part++) {
    uint32_t row = part / s.columnBlocks * s.blockRows, column = part % s.columnBlocks * s.columns;
    uint32_t rows = x.rows - row < s.blockRows ? x.rows - row : s.blockRows;
    uint32_t end = w.rows - column < s.columns ? w.rows : column + s.columns;
    multiply({{x.row(row), x.stride, nullptr},
              rows,
              w,
              column,
              end,
              bias ? bias + column : nullptr,
              y.row(row) + column,
              y.stride},
             own);
  }
}

void runLinear(const Call& call, uint32_t first, uint32_t last, uint8_t* own) {
  multiplyParts(call, nullptr, first, last, own);
}

void runLinearBias(const Call& call, uint32_t first, uint32_t last, uint8_t* own) {
  multiplyParts(call, call.in[program::op_linear_bias::in_bias].floats(), first, last, own);
}

}  // namespace

const Kernel kLinear = {{{work, runLinear}}, workspace};
const Kernel kLinearBias = {{{work, runLinearBias}}, workspace};

}  // namespace glimt
