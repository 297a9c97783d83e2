// linear: y = x wᵀ, and linear_bias: y = x wᵀ + bias. x [m, k], w [n, k] in tiles, y [m, n].
// 1. Where w is in blocks: x is quantised into panels. A part is a panel.
// 2. A part is a block of rows of x against a range of rows of w.
#include "block_product.h"
#include "block_tile.h"
#include "gemm.h"
#include "tile.h"

namespace glimt {
namespace {

struct Split {
  uint32_t blockRows, rowBlocks, columns, columnBlocks;

  // Few rows are bound by reading w, which takes long runs: parts of it that follow each other are one.
  bool inRuns() const { return rowBlocks == 1 && blockRows <= kFewRows; }
};

Split split(const Call& call) {
  uint32_t m = call.in[0].rows, n = call.in[1].rows, k = call.in[1].cols;
  if (m == 0 || n == 0) return {1, 0, 1, 0};
  // Blocks of equal length, in whole panels.
  uint32_t fewest = (m + kBlockRows - 1) / kBlockRows, even = (m + fewest - 1) / fewest;
  uint32_t blockRows = fewest == 1 ? m : (even + kPanelRows - 1) / kPanelRows * kPanelRows;
  uint32_t rowBlocks = (m + blockRows - 1) / blockRows;
  Split s = {blockRows, rowBlocks, 0, 0};
  // Parts of runs are as short as tiles are met at once.
  s.columns = call.workers > 1 && s.inRuns() ? kMostTiles * kTileRows : columnsOfPart(call, blockRows, n, k, rowBlocks);
  s.columnBlocks = (n + s.columns - 1) / s.columns;
  return s;
}

// The panels of a block of rows.
Panels panelsOf(const Call& call, const Split& s, uint32_t rowBlock) {
  uint32_t first = rowBlock * s.blockRows, left = call.in[0].rows - first;
  return blockPanels(left < s.blockRows ? left : s.blockRows, call.in[1].dtype);
}

uint64_t quantisedRowBytes(const Call& call) { return blockRowBytes(call.in[1].dtype, call.in[1].cols); }

Work quantiseWork(const Call& call) {
  Split s = split(call);
  if (!isBlockFormat(call.in[1].dtype) || s.rowBlocks == 0) return {0, 0};
  uint32_t panels = (s.rowBlocks - 1) * panelsOf(call, s, 0).count + panelsOf(call, s, s.rowBlocks - 1).count;
  return {panels, 8.0 * call.in[0].rows * call.in[0].cols / panels};
}

void quantise(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t*) {
  Split s = split(call);
  const Operand &x = call.in[0], &w = call.in[1];
  uint32_t most = panelsOf(call, s, 0).count;
  for (uint32_t part = firstPart; part < lastPart; part++) {
    Panels panels = panelsOf(call, s, part / most);
    uint32_t first = part / most * s.blockRows + panels.first(part % most), count = panels.rows(part % most);
    const float* rows[kPanelRows];
    for (uint32_t r = 0; r < count; r++) rows[r] = x.row(first + r);
    quantisePanel(rows, count, w.cols, w.dtype, call.shared + (size_t)(first * quantisedRowBytes(call)));
  }
}

Work work(const Call& call) {
  Split s = split(call);
  return {s.rowBlocks * s.columnBlocks, 2.0 * s.blockRows * s.columns * call.in[1].cols, s.inRuns()};
}

Workspace workspace(const Call& call) {
  if (isBlockFormat(call.in[1].dtype)) return {call.in[0].rows * quantisedRowBytes(call), blockScratch()};
  return {0, multiplyScratch()};
}

void multiplyParts(const Call& call, const float* bias, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  Split s = split(call);
  const Operand &x = call.in[0], &w = call.in[1], &y = call.out[0];
  uint32_t atOnce = s.inRuns() ? s.columnBlocks : 1;
  for (uint32_t part = firstPart, parts; part < lastPart; part += parts) {
    uint32_t row = part / s.columnBlocks * s.blockRows, first = part % s.columnBlocks;
    parts = least(least(atOnce, s.columnBlocks - first), lastPart - part);
    uint32_t column = first * s.columns, rows = least(x.rows - row, s.blockRows);
    uint32_t end = first + parts == s.columnBlocks ? w.rows : column + parts * s.columns;
    const float* start = bias ? bias + column : nullptr;
    float* to = y.row(row) + column;
    if (isBlockFormat(w.dtype)) {
      const uint8_t* panels = call.shared + (size_t)(row * quantisedRowBytes(call));
      multiplyBlocks({panels, rows, w, column, end, start, to, y.stride}, own);
    } else {
      multiply({{x.row(row), x.stride, nullptr}, rows, w, column, end, start, to, y.stride}, own);
    }
  }
}

void runLinear(const Call& call, uint32_t first, uint32_t last, uint8_t* own) {
  multiplyParts(call, nullptr, first, last, own);
}

void runLinearBias(const Call& call, uint32_t first, uint32_t last, uint8_t* own) {
  multiplyParts(call, call.in[program::op_linear_bias::in_bias].floats(), first, last, own);
}

}  // namespace

const Kernel kLinear = {{{quantiseWork, quantise}, {work, runLinear}}, workspace};
const Kernel kLinearBias = {{{quantiseWork, quantise}, {work, runLinearBias}}, workspace};

}  // namespace glimt
