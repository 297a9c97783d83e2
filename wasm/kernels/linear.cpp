// linear: y = x wᵀ, and linear_bias: y = x wᵀ + bias. x [m, k], w [n, k] packed, y [m, n].
// A part is a block of rows of x against a run of rows of w, long enough to pay for packing x.
#include "gemm.h"
#include "weights.h"

namespace glimt {
namespace {

constexpr double kPartCost = 1e8;
constexpr uint32_t kLeastColumns = 256;

struct Split {
  uint32_t blockRows, rowBlocks, columns, columnBlocks;
};

Split split(const Call& call) {
  uint32_t m = call.in[0].rows, n = call.in[1].rows, k = call.in[1].cols;
  uint32_t blockRows = m < kBlockRows ? m : kBlockRows;
  double columnCost = 2.0 * blockRows * k + 1;
  double wanted = kPartCost / columnCost;
  uint32_t columns = wanted > n ? n : (uint32_t)wanted / kTileRows * kTileRows;
  if (columns < kLeastColumns) columns = kLeastColumns;
  if (m == 0 || n == 0) return {1, 0, 1, 0};
  return {blockRows, (m + blockRows - 1) / blockRows, columns, (n + columns - 1) / columns};
}

Work linearWork(const Call& call) {
  Split s = split(call);
  return {s.rowBlocks * s.columnBlocks, 2.0 * s.blockRows * s.columns * call.in[1].cols};
}

uint64_t linearScratch(const Call&) { return multiplyScratch(); }

void runLinear(const Call& call, const float* bias, uint32_t firstPart, uint32_t lastPart) {
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
             call.scratch);
  }
}

void linear(const Call& call, uint32_t firstPart, uint32_t lastPart) {
  runLinear(call, nullptr, firstPart, lastPart);
}

void linearBias(const Call& call, uint32_t firstPart, uint32_t lastPart) {
  runLinear(call, call.in[program::op_linear_bias::in_bias].floats(), firstPart, lastPart);
}

}  // namespace

const Kernel kLinear = {linearWork, linear, linearScratch};
const Kernel kLinearBias = {linearWork, linearBias, linearScratch};

}  // namespace glimt
