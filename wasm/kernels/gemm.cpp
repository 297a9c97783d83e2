// GEMM: y[m, n] = x[m, k] wᵀ + bias with w in tiles of 8 rows (weights.h).
//
// For each slice of up to 384 columns of k: a block of up to 96 rows of x is interleaved into panels [k][4], then
// every tile of w (widened to f32 once a block when it is bf16 or f16) meets every panel in a 4 x 8 register tile.
// The panel block stays in L2, the tile of w and one panel in L1; partial sums rest in y between slices of k.
#include "gemm.h"

#include <string.h>

#include "weights.h"

namespace glimt {
namespace {

constexpr uint32_t kDepth = 384;
constexpr uint32_t kPanelRows = 4;
constexpr uint32_t kTile = kTileRows;
// Least columns of a part that is cut for a slice, and for workers.
constexpr uint32_t kSliceColumns = 256, kSplitColumns = 64;

alignas(16) const float kZeros[kDepth] = {};

uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

// Panels [ceil(rows/4)][depth][4] of x's rows from `first`; rows past the end are zeros.
void packPanels(const Rows& x, uint32_t first, uint32_t rows, uint32_t k0, uint32_t depth, float* panels) {
  for (uint32_t r = 0; r < rows; r += kPanelRows, panels += (size_t)depth * kPanelRows) {
    const float* from[kPanelRows];
    for (uint32_t i = 0; i < kPanelRows; i++) from[i] = r + i < rows ? x.row(first + r + i) + k0 : kZeros;
    interleave4(from[0], from[1], from[2], from[3], depth, panels);
  }
}

// Columns [low, high) of the tile are in y; the others, and rows past `rows`, are computed and dropped.
struct Edge {
  uint32_t rows, low, high;
};

void moveEdge(float* tile, float* y, size_t stride, Edge edge, bool intoTile) {
  for (uint32_t r = 0; r < edge.rows; r++) {
    for (uint32_t c = edge.low; c < edge.high; c++) {
      float& inTile = tile[r * kTile + c];
      float& inY = y[r * stride + c - edge.low];
      if (intoTile) inTile = inY;
      else inY = inTile;
    }
  }
}

// One tile of w against one panel. `y` points at the tile's first wanted column; `start` holds what the sums begin
// with in the first slice of k (the bias, 8 lanes), null in later ones, which go on from y.
void tileProduct(const float* panel, const float* w, uint32_t depth, const float* start, float* y, size_t stride,
                 Edge edge) {
  bool whole = edge.rows == kPanelRows && edge.low == 0 && edge.high == kTile;
  alignas(16) float temporary[kPanelRows * kTile] = {};
  Tile tile;
  if (start) {
    f32x4 s0 = load(start), s1 = load(start + 4);
    tile = {s0, s1, s0, s1, s0, s1, s0, s1};
  } else if (whole) {
    loadTile(tile, y, stride);
  } else {
    moveEdge(temporary, y, stride, edge, true);
    loadTile(tile, temporary, kTile);
  }
  accumulate(tile, panel, w, depth);
  if (whole) {
    storeTile(tile, y, stride);
  } else {
    storeTile(tile, temporary, kTile);
    moveEdge(temporary, y, stride, edge, false);
  }
}

// The bias of a tile's 8 rows; zero where there is none.
void tileStart(const Product& p, uint32_t tileRow, float* start) {
  for (uint32_t c = 0; c < kTile; c++) {
    uint32_t row = tileRow + c;
    start[c] = p.bias && row >= p.firstRow && row < p.lastRow ? p.bias[row - p.firstRow] : 0.0f;
  }
}

void multiplySlice(const Product& p, uint32_t firstRow, uint32_t rows, uint32_t k0, uint32_t depth, float* panels,
                   float* widened) {
  packPanels(p.x, firstRow, rows, k0, depth, panels);
  for (uint32_t tileRow = p.firstRow / kTile * kTile; tileRow < p.lastRow; tileRow += kTile) {
    const float* w = widenTile(p.w, tileRow, k0, depth, widened);
    alignas(16) float start[kTile];
    if (k0 == 0) tileStart(p, tileRow, start);
    uint32_t low = p.firstRow > tileRow ? p.firstRow - tileRow : 0;
    uint32_t high = least(p.lastRow - tileRow, kTile);
    float* y = p.y + firstRow * p.yStride + (tileRow + low - p.firstRow);
    for (uint32_t r = 0; r < rows; r += kPanelRows, y += kPanelRows * p.yStride) {
      Edge edge = {least(rows - r, kPanelRows), low, high};
      tileProduct(panels + (size_t)r * depth, w, depth, k0 == 0 ? start : nullptr, y, p.yStride, edge);
    }
  }
}

}  // namespace

void interleave4(const float* a, const float* b, const float* c, const float* d, uint32_t k, float* out) {
  uint32_t i = 0;
  for (; i + 4 <= k; i += 4, out += 16) {
    f32x4 v0 = load(a + i), v1 = load(b + i), v2 = load(c + i), v3 = load(d + i);
    transpose(v0, v1, v2, v3);
    store(out, v0), store(out + 4, v1), store(out + 8, v2), store(out + 12, v3);
  }
  for (; i < k; i++, out += 4) out[0] = a[i], out[1] = b[i], out[2] = c[i], out[3] = d[i];
}

size_t multiplyScratch() { return sizeof(float) * kDepth * (kBlockRows + kTile); }

void gemm(const Product& p, float* scratch) {
  uint32_t k = p.w.cols, slices = (k + kDepth - 1) / kDepth;
  // Slices of equal length, in whole groups of 8 so that tiles of w keep their alignment.
  uint32_t depth = slices ? ((k + slices - 1) / slices + 7) / 8 * 8 : 0;
  float* widened = scratch;
  float* panels = scratch + kDepth * kTile;
  for (uint32_t row = 0; row < p.m; row += kBlockRows) {
    uint32_t rows = least(p.m - row, kBlockRows);
    for (uint32_t k0 = 0; k0 < k; k0 += depth) multiplySlice(p, row, rows, k0, least(k - k0, depth), panels, widened);
  }
}

uint32_t columnsOfPart(const Call& call, uint32_t m, uint32_t n, uint32_t k, uint32_t times) {
  double affordable = kLargestPart / (2.0 * m * k + 1);
  uint32_t columns = affordable > n ? n : (uint32_t)affordable;
  if (columns < kSliceColumns) columns = kSliceColumns;
  // Packing more often is better than workers without work.
  uint32_t ranges = (sharedParts(call) + times - 1) / times, splitColumns = (n + ranges - 1) / ranges;
  if (splitColumns < kSplitColumns) splitColumns = kSplitColumns;
  return (least(columns, splitColumns) + kTile - 1) / kTile * kTile;
}

void multiply(const Product& product, uint8_t* scratch) {
  if (product.m <= kGemvRows) gemv(product);
  else gemm(product, (float*)scratch);
}

}  // namespace glimt
