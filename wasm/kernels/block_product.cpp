// Many rows are bound by arithmetic: a tile of w is unpacked once for all panels, slice by slice of k, so that it and a
// panel stay in L1. Few rows are bound by reading w, which panels meet as it is stored, in long runs. Sums rest in y between
// slices.
#include "block_product.h"

#include "block_tile.h"

namespace glimt {
namespace {

// Rows up to which tiles are unpacked in registers, for each panel.
constexpr uint32_t kFewRows = 16;
static_assert(kFewRows / kPanelRows >= 2, "more rows than that are panels of kLeastUnpackedRows at least");
// Columns of a slice.
constexpr uint32_t kDepth = 1024;

uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

// Copies columns [low, high) of `rows` rows of a tile's sums to y, which begins with `low`, or from there.
void moveSums(float* sums, float* y, size_t stride, uint32_t rows, uint32_t low, uint32_t high, bool toSums) {
  for (uint32_t r = 0; r < rows; r++, sums += kTileRows, y += stride) {
    if (high - low == kTileRows) {
      float *to = toSums ? sums : y, *from = toSums ? y : sums;
      f32x4 first = load(from), second = load(from + 4);
      store(to, first), store(to + 4, second);
      continue;
    }
    for (uint32_t c = low; c < high; c++) {
      if (toSums) sums[c] = y[c - low];
      else y[c - low] = sums[c];
    }
  }
}

// All panels of p against columns [first, first + cols) of the tile that begins with row `row` of w.
template <class ProductOf>
void multiplyPanels(const BlockedProduct& p, const Panels& panels, uint32_t row, uint32_t first, uint32_t cols,
                    const uint8_t* tile, ProductOf productOf) {
  size_t rowBytes = (size_t)blockRowBytes(p.w.dtype, p.w.cols), skipped = (size_t)blockRowBytes(p.w.dtype, first);
  uint32_t low = p.firstRow > row ? p.firstRow - row : 0, high = least(p.lastRow - row, kTileRows);
  alignas(16) float start[kTileRows] = {};
  for (uint32_t c = low; p.bias && c < high; c++) start[c] = p.bias[row + c - p.firstRow];
  f32x4 lowStart = load(start), highStart = load(start + 4);
  for (uint32_t panel = 0; panel < panels.count; panel++) {
    uint32_t firstRow = panels.first(panel), rows = panels.rows(panel);
    float* y = p.y + firstRow * p.yStride + (row + low - p.firstRow);
    // Columns that are not in y are computed as well, and dropped.
    alignas(16) float sums[kPanelRows * kTileRows];
    for (uint32_t r = 0; r < rows; r++) {
      store(sums + r * kTileRows, lowStart), store(sums + r * kTileRows + 4, highStart);
    }
    if (first) moveSums(sums, y, p.yStride, rows, low, high, true);
    productOf(rows)(p.x + firstRow * rowBytes + rows * skipped, tile, cols, sums);
    moveSums(sums, y, p.yStride, rows, low, high, false);
  }
}

void multiplyFew(const BlockedProduct& p, const Panels& panels) {
  DType dtype = p.w.dtype;
  size_t tileBytes = storageBytes(dtype, kTileRows, p.w.cols);
  for (uint32_t row = p.firstRow / kTileRows * kTileRows; row < p.lastRow; row += kTileRows) {
    multiplyPanels(p, panels, row, 0, p.w.cols, p.w.data + row / kTileRows * tileBytes,
                   [=](uint32_t rows) { return directProduct(dtype, rows); });
  }
}

void multiplyMany(const BlockedProduct& p, const Panels& panels, uint8_t* unpacked) {
  DType dtype = p.w.dtype;
  uint32_t block = blockCols(dtype), all = p.w.cols / block, most = kDepth / block;
  size_t tileBytes = storageBytes(dtype, kTileRows, p.w.cols);
  // Slices of equal length, in whole blocks.
  uint32_t slices = (all + most - 1) / most, depth = slices ? (all + slices - 1) / slices : 0;
  uint32_t first = 0;
  do {
    uint32_t blocks = least(all - first, depth);
    for (uint32_t row = p.firstRow / kTileRows * kTileRows; row < p.lastRow; row += kTileRows) {
      unpackTile(p.w.data + row / kTileRows * tileBytes + first * tileBlockBytes(dtype), dtype, blocks * block, unpacked);
      multiplyPanels(p, panels, row, first * block, blocks * block, unpacked,
                     [=](uint32_t rows) { return unpackedProduct(dtype, rows); });
    }
    first += depth;
  } while (first < all);
}

}  // namespace

Panels blockPanels(uint32_t rows, DType weights) {
  return Panels(rows, rows <= kFewRows ? kDirectRows : unpackedRows(weights));
}

size_t blockScratch() { return unpackedBytes(kDepth); }

void multiplyBlocks(const BlockedProduct& p, uint8_t* scratch) {
  Panels panels = blockPanels(p.m, p.w.dtype);
  if (p.m <= kFewRows) multiplyFew(p, panels);
  else multiplyMany(p, panels, scratch);
}

}  // namespace glimt
