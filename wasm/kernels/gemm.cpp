// y[m, n] = x[m, k] wᵀ + bias with w in tiles of 8 rows (weights.h).
//
// A block of up to 144 rows of x is interleaved into panels [k][6], slice by slice of k; then every tile of w meets every
// panel in registers (tile.h).
// Many rows are bound by arithmetic: slices are short, so that a tile of w and a panel stay in L1 and the panels in L2, and
// a tile is widened to f32 once for all panels. Between slices the sums rest side by side in memory of their own: rows of y
// lie pages apart, in the same few sets of a cache. Few rows are bound by reading w: tiles are widened in registers, and
// slices are long, so that w is read in long runs; sums rest in y. One or two rows meet several tiles at once, since the
// sums of one would wait for each other: each is the next one of a run of tiles, where the processor has seen what follows. Of more rows
// all of w that a product reads is asked for before it.
#include "gemm.h"

#include "tile.h"
#include "touch_all.h"

namespace glimt {
namespace {

// Of a slice of many rows, and columns of w that its sums are kept for.
constexpr uint32_t kDepth = 384, kColumns = 512;
// Of the panels of a slice.
constexpr uint32_t kBlockFloats = kDepth * kBlockRows;
// Floats of a row of sums: rows begin in different sets of a cache.
constexpr uint32_t kSumStride = kColumns + 2 * kTileRows;
// Rows up to which slices are as long as there is memory for, and a tile is widened in registers, for each panel: this takes
// longer from f16.
constexpr uint32_t fewRows(DType dtype) { return dtype == DType::f16 ? 32 : 48; }

// Least columns of a part that is cut for a slice, and for workers.
constexpr uint32_t kSliceColumns = 512, kSplitColumns = 64;

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

// What the sums of tiles begin with, which are `apart` rows from each other: the bias, zero where there is none.
void startOf(const Product& p, uint32_t tileRow, uint32_t tiles, uint32_t apart, float* start) {
  for (uint32_t t = 0; t < tiles; t++, tileRow += apart) {
    for (uint32_t row = tileRow; row < tileRow + kTileRows; row++) {
      *start++ = p.bias && row >= p.firstRow && row < p.lastRow ? p.bias[row - p.firstRow] : 0.0f;
    }
  }
}

// All panels of few rows against `tiles` tiles of w from row `tileRow` on, `apart` rows from each other; more than one are whole.
void multiplyPanels(const Product& p, const Slice& s, uint32_t tileRow, uint32_t tiles, uint32_t apart) {
  size_t columnBytes = kTileRows * elementBytes(p.w.dtype), tileBytes = p.w.cols * columnBytes;
  const uint8_t* w = p.w.data + tileRow / kTileRows * tileBytes + s.k0 * columnBytes;
  alignas(16) float starts[kMostTiles * kTileRows];
  const float* start = s.k0 == 0 ? starts : nullptr;
  if (start) startOf(p, tileRow, tiles, apart, starts);
  uint32_t low = p.firstRow > tileRow ? p.firstRow - tileRow : 0, high = least(p.lastRow - tileRow, kTileRows);
  for (uint32_t panel = 0; panel < s.panels.count; panel++) {
    uint32_t first = s.panels.first(panel), rows = s.panels.rows(panel);
    const float* packed = s.packed + (size_t)first * s.depth;
    float* y = p.y + (s.firstRow + first) * p.yStride + (tileRow + low - p.firstRow);
    TileProduct product = tileProduct(p.w.dtype, rows, tiles);
    if (high - low == kTileRows) {
      product(packed, rows, w, apart / kTileRows * tileBytes, s.depth, start, y, p.yStride, apart);
    } else {
      alignas(16) float edge[kPanelRows * kTileRows] = {};
      moveEdge(edge, y, p.yStride, rows, low, high, true);
      product(packed, rows, w, 0, s.depth, start, edge, kTileRows, 0);
      moveEdge(edge, y, p.yStride, rows, low, high, false);
    }
  }
}

void packSlice(const Product& p, const Slice& s) {
  for (uint32_t panel = 0; panel < s.panels.count; panel++) {
    uint32_t first = s.panels.first(panel), rows = s.panels.rows(panel);
    const float* from[kPanelRows];
    for (uint32_t r = 0; r < rows; r++) from[r] = p.x.row(s.firstRow + first + r) + s.k0;
    packPanel(from, rows, s.depth, s.packed + (size_t)first * s.depth);
  }
}

void multiplyFew(const Product& p, const Slice& s) {
  packSlice(p, s);
  size_t columnBytes = kTileRows * elementBytes(p.w.dtype), tileBytes = p.w.cols * columnBytes;
  auto meet = [&](uint32_t row, uint32_t tiles, uint32_t apart) {
    for (uint32_t t = 0; s.rows > 2 && t < tiles; t++) {
      touchAll(p.w.data + (row + t * apart) / kTileRows * tileBytes + s.k0 * columnBytes, s.depth * columnBytes);
    }
    multiplyPanels(p, s, row, tiles, apart);
  };
  // Tiles that are left over from runs, or not whole, are met alone.
  uint32_t row = p.firstRow / kTileRows * kTileRows, most = s.panels.count == 1 ? tilesAtOnce(s.rows) : 1;
  if (row < p.firstRow) meet(row, 1, 0), row += kTileRows;
  uint32_t run = most > 1 && row < p.lastRow ? (p.lastRow - row) / kTileRows / most * kTileRows : 0;
  for (uint32_t i = 0; i < run; i += kTileRows) meet(row + i, most, run);
  for (row += most * run; row < p.lastRow; row += kTileRows) meet(row, 1, 0);
}

// The sums of all panels with the tiles of rows firstTile .. end - 1 of w, [rows][kSumStride]. While a tile is multiplied
// the next one is asked for, a piece with each panel.
void multiplyMany(const Product& p, const Slice& s, uint32_t firstTile, uint32_t end, float* widened, float* sums) {
  size_t columnBytes = kTileRows * elementBytes(p.w.dtype), tileBytes = p.w.cols * columnBytes;
  size_t piece = (s.depth * columnBytes / kCacheLine + s.panels.count - 1) / s.panels.count * kCacheLine;
  for (uint32_t tileRow = firstTile; tileRow < end; tileRow += kTileRows) {
    const uint8_t* w = p.w.data + tileRow / kTileRows * tileBytes + s.k0 * columnBytes;
    const uint8_t *wanted = w + tileBytes, *wantedEnd = tileRow + kTileRows < end ? wanted + s.depth * columnBytes : wanted;
    if (p.w.dtype != DType::f32) {
      widen(w, p.w.dtype, (size_t)s.depth * kTileRows, widened);
      w = (const uint8_t*)widened;
    }
    alignas(16) float start[kTileRows];
    if (s.k0 == 0) startOf(p, tileRow, 1, 0, start);
    for (uint32_t panel = 0; panel < s.panels.count; panel++) {
      uint32_t first = s.panels.first(panel), rows = s.panels.rows(panel);
      for (const uint8_t* pieceEnd = wanted + piece; wanted < pieceEnd && wanted < wantedEnd; wanted += kCacheLine) {
        touch(wanted);
      }
      tileProduct(DType::f32, rows, 1)(s.packed + (size_t)first * s.depth, rows, w, 0, s.depth,
                                       s.k0 == 0 ? start : nullptr, sums + first * kSumStride + (tileRow - firstTile),
                                       kSumStride, 0);
    }
  }
}

void copySums(const Product& p, uint32_t firstRow, uint32_t rows, uint32_t firstTile, uint32_t end, const float* sums) {
  uint32_t low = firstTile > p.firstRow ? firstTile : p.firstRow;
  for (uint32_t r = 0; r < rows; r++, sums += kSumStride) {
    float* y = p.y + (firstRow + r) * p.yStride + (low - p.firstRow);
    __builtin_memcpy(y, sums + (low - firstTile), sizeof(float) * (end - low));
  }
}

}  // namespace

size_t multiplyScratch() {
  return sizeof(float) * (kDepth * kTileRows + kBlockRows * kSumStride + kBlockFloats + kPanelSlack);
}

void multiply(const Product& p, uint8_t* scratch) {
  float* widened = (float*)scratch;
  float* sums = widened + kDepth * kTileRows;
  float* packed = sums + kBlockRows * kSumStride;
  uint32_t k = p.w.cols;
  for (uint32_t row = 0; row < p.m; row += kBlockRows) {
    uint32_t rows = least(p.m - row, kBlockRows);
    bool few = rows <= fewRows(p.w.dtype);
    Panels panels(rows, p.w.dtype != DType::f32 && few ? kWideningRows : kPanelRows);
    uint32_t most = few ? kBlockFloats / rows : kDepth;
    // Slices of equal length.
    uint32_t slices = k ? (k + most - 1) / most : 1, depth = (k + slices - 1) / slices;
    uint32_t columns = few ? UINT32_MAX : kColumns;
    for (uint32_t tile = p.firstRow / kTileRows * kTileRows; tile < p.lastRow; ) {
      uint32_t end = p.lastRow - tile < columns ? p.lastRow : tile + columns;
      for (uint32_t slice = 0; slice < slices; slice++) {
        uint32_t k0 = slice * depth;
        Slice s = {row, rows, k0, least(k - k0, depth), panels, packed};
        if (few) {
          multiplyFew(p, s);
        } else {
          packSlice(p, s);
          multiplyMany(p, s, tile, end, widened, sums);
        }
      }
      if (!few) copySums(p, row, rows, tile, end, sums);
      tile = end;
    }
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
