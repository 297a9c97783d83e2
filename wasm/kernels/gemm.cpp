// y[m, n] = x[m, k] wᵀ + bias with w in tiles of 8 rows (weights.h).
//
// A block of up to 96 rows of x is interleaved into panels [k][6], slice by slice of k; then every tile of w meets every
// panel in registers (tile.h). Partial sums rest in y between slices of k.
// Many rows are bound by arithmetic: slices are short, so that a tile of w and a panel stay in L1 and the panels in L2, and
// a tile is widened to f32 once for all panels. Few rows are bound by reading w: tiles are widened in registers, and slices
// are long, so that w is read in long runs. One or two rows meet several tiles at once, since the sums of one would wait
// for each other.
#include "gemm.h"

#include "tile.h"

namespace glimt {
namespace {

constexpr uint32_t kDepth = 384;
// Of the panels of a slice.
constexpr uint32_t kBlockFloats = kDepth * kBlockRows;
// Rows up to which slices are as long as there is memory for, and a tile is widened in registers, for each panel.
constexpr uint32_t kFewRows = 16;
// Least columns of a part that is cut for a slice, and for workers.
constexpr uint32_t kSliceColumns = 256, kSplitColumns = 64;

uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

// Columns [low, high) of a tile are in y, which begins with `low`; the others are computed and dropped.
void moveEdge(float* tile, float* y, size_t stride, uint32_t rows, uint32_t low, uint32_t high, bool intoTile) {
  for (uint32_t r = 0; r < rows; r++) {
    for (uint32_t c = low; c < high; c++) {
      float& inTile = tile[r * kTileRows + c];
      float& inY = y[r * stride + c - low];
      if (intoTile) inTile = inY;
      else inY = inTile;
    }
  }
}

// A slice of k of a block of rows of x, whose panels lie one behind another, [depth][rows] each.
struct Slice {
  uint32_t firstRow, rows, k0, depth;
  Panels panels;
  float* packed;
};

// What the sums of tiles begin with: the bias, zero where there is none.
void startOf(const Product& p, uint32_t tileRow, uint32_t tiles, float* start) {
  for (uint32_t c = 0; c < tiles * kTileRows; c++) {
    uint32_t row = tileRow + c;
    start[c] = p.bias && row >= p.firstRow && row < p.lastRow ? p.bias[row - p.firstRow] : 0.0f;
  }
}

// All panels against `tiles` tiles of w from row `tileRow` on; more than one are whole.
void multiplyPanels(const Product& p, const Slice& s, uint32_t tileRow, uint32_t tiles, float* widened) {
  DType dtype = p.w.dtype;
  size_t columnBytes = kTileRows * elementBytes(dtype), tileBytes = p.w.cols * columnBytes;
  const uint8_t* w = p.w.data + tileRow / kTileRows * tileBytes + s.k0 * columnBytes;
  if (dtype != DType::f32 && s.rows > kFewRows) {
    widen(w, dtype, (size_t)s.depth * kTileRows, widened);
    w = (const uint8_t*)widened, dtype = DType::f32;
  }
  alignas(16) float starts[kMostTiles * kTileRows];
  const float* start = s.k0 == 0 ? starts : nullptr;
  if (start) startOf(p, tileRow, tiles, starts);
  uint32_t low = p.firstRow > tileRow ? p.firstRow - tileRow : 0, high = least(p.lastRow - tileRow, kTileRows);
  for (uint32_t panel = 0; panel < s.panels.count; panel++) {
    uint32_t first = s.panels.first(panel), rows = s.panels.rows(panel);
    const float* packed = s.packed + (size_t)first * s.depth;
    float* y = p.y + (s.firstRow + first) * p.yStride + (tileRow + low - p.firstRow);
    TileProduct product = tileProduct(dtype, rows, tiles);
    if (high - low == kTileRows) {
      product(packed, rows, w, tileBytes, s.depth, start, y, p.yStride);
    } else {
      alignas(16) float edge[kPanelRows * kTileRows] = {};
      moveEdge(edge, y, p.yStride, rows, low, high, true);
      product(packed, rows, w, tileBytes, s.depth, start, edge, kTileRows);
      moveEdge(edge, y, p.yStride, rows, low, high, false);
    }
  }
}

void multiplySlice(const Product& p, const Slice& s, float* widened) {
  for (uint32_t panel = 0; panel < s.panels.count; panel++) {
    uint32_t first = s.panels.first(panel), rows = s.panels.rows(panel);
    const float* from[kPanelRows];
    for (uint32_t r = 0; r < rows; r++) from[r] = p.x.row(s.firstRow + first + r) + s.k0;
    packPanel(from, rows, s.depth, s.packed + (size_t)first * s.depth);
  }
  uint32_t most = s.panels.count == 1 ? tilesAtOnce(s.rows) : 1;
  for (uint32_t tileRow = p.firstRow / kTileRows * kTileRows, tiles; tileRow < p.lastRow; tileRow += tiles * kTileRows) {
    tiles = tileRow >= p.firstRow && tileRow + most * kTileRows <= p.lastRow ? most : 1;
    multiplyPanels(p, s, tileRow, tiles, widened);
  }
}

}  // namespace

size_t multiplyScratch() { return sizeof(float) * (kDepth * kTileRows + kBlockFloats + kPanelSlack); }

void multiply(const Product& p, uint8_t* scratch) {
  float* widened = (float*)scratch;
  float* packed = widened + kDepth * kTileRows;
  uint32_t k = p.w.cols;
  for (uint32_t row = 0; row < p.m; row += kBlockRows) {
    uint32_t rows = least(p.m - row, kBlockRows);
    Panels panels(rows, p.w.dtype != DType::f32 && rows <= kFewRows ? kWideningRows : kPanelRows);
    uint32_t most = rows <= kFewRows ? kBlockFloats / rows : kDepth;
    // Slices of equal length.
    uint32_t slices = (k + most - 1) / most, depth = slices ? (k + slices - 1) / slices : 0;
    uint32_t k0 = 0;
    do {
      multiplySlice(p, {row, rows, k0, least(k - k0, depth), panels, packed}, widened);
      k0 += depth;
    } while (k0 < k);
  }
}

uint32_t columnsOfPart(const Call& call, uint32_t m, uint32_t n, uint32_t k, uint32_t times) {
  double affordable = kLargestPart / (2.0 * m * k + 1);
  uint32_t columns = affordable > n ? n : (uint32_t)affordable;
  if (columns < kSliceColumns) columns = kSliceColumns;
  // Packing more often is better than workers without work.
  uint32_t ranges = (sharedParts(call) + times - 1) / times, splitColumns = (n + ranges - 1) / ranges;
  if (splitColumns < kSplitColumns) splitColumns = kSplitColumns;
  // Whole tiles, as many as meet few rows at once.
  uint32_t unit = kMostTiles * kTileRows;
  return (least(columns, splitColumns) + unit - 1) / unit * unit;
}

}  // namespace glimt
