// Many rows are bound by arithmetic: a tile of w is unpacked once for all panels, slice by slice of k, so that it and a
// panel stay in L1, while the next one is asked for. Sums rest in y between slices. Tables of q8 (flipped_tile.h) are larger
// than tiles: they hold slices of slices, between which sums rest side by side. Few rows are bound by reading w, which panels
// meet as it is stored, in long runs. A single panel of one row, or of two in most formats, meets several tiles at once; where
// tiles are met one by one, all of a tile is asked for before.
#include "block_product.h"

#include "block_tile.h"
#include "flipped_tile.h"
#include "gemm.h"
#include "touch_all.h"

namespace glimt {
namespace {

// Columns of a slice.
constexpr uint32_t kDepth = 1024;

// Copies columns [low, high) of `rows` rows of `columns` sums, those of whole tiles, to y, which begins with `low`, or from there.
void moveSums(float* sums, uint32_t columns, float* y, size_t stride, uint32_t rows, uint32_t low, uint32_t high, bool toSums) {
  for (uint32_t r = 0; r < rows; r++, sums += columns, y += stride) {
    if (high - low == columns) {
      float *to = toSums ? sums : y, *from = toSums ? y : sums;
      for (uint32_t c = 0; c < columns; c += 8) {
        f32x4 first = load(from + c), second = load(from + c + 4);
        store(to + c, first), store(to + c + 4, second);
      }
      continue;
    }
    for (uint32_t c = low; c < high; c++) {
      if (toSums) sums[c] = y[c - low];
      else y[c - low] = sums[c];
    }
  }
}

// Memory that is wanted next, `bytes` in each of `runs` places, asked for in so many pieces.
class Ahead {
 public:
  Ahead(const uint8_t* from, size_t bytes, uint32_t pieces, uint32_t runs = 1, size_t stride = 0)
      : from_(from), bytes_(bytes), piece_((bytes / kCacheLine + pieces - 1) / pieces * kCacheLine), runs_(runs), stride_(stride) {}

  void touchPiece() {
    size_t end = done_ + piece_ < bytes_ ? done_ + piece_ : bytes_;
    for (uint32_t run = 0; run < runs_; run++) {
      for (size_t at = done_; at < end; at += kCacheLine) touch(from_ + run * stride_ + at);
    }
    done_ = end;
  }

 private:
  const uint8_t* from_;
  size_t bytes_, piece_, done_ = 0;
  uint32_t runs_;
  size_t stride_;
};

// All panels of p against columns [first, first + cols) of the tile that begins with row `row` of w.
template <class ProductOf>
void multiplyPanels(const BlockedProduct& p, const Panels& panels, uint32_t row, uint32_t first, uint32_t cols,
                    const uint8_t* tile, Ahead ahead, ProductOf productOf) {
  size_t rowBytes = (size_t)blockRowBytes(p.w.dtype, p.w.cols), skipped = (size_t)blockRowBytes(p.w.dtype, first);
  uint32_t low = p.firstRow > row ? p.firstRow - row : 0, high = least(p.lastRow - row, kTileRows);
  alignas(16) float start[kTileRows] = {};
  for (uint32_t c = low; p.bias && c < high; c++) start[c] = p.bias[row + c - p.firstRow];
  f32x4 lowStart = load(start), highStart = load(start + 4);
  for (uint32_t panel = 0; panel < panels.count; panel++) {
    ahead.touchPiece();
    uint32_t firstRow = panels.first(panel), rows = panels.rows(panel);
    float* y = p.y + firstRow * p.yStride + (row + low - p.firstRow);
    // Columns that are not in y are computed as well, and dropped.
    alignas(16) float sums[kPanelRows * kTileRows];
    for (uint32_t r = 0; r < rows; r++) {
      store(sums + r * kTileRows, lowStart), store(sums + r * kTileRows + 4, highStart);
    }
    if (first) moveSums(sums, kTileRows, y, p.yStride, rows, low, high, true);
    productOf(rows)(p.x + firstRow * rowBytes + rows * skipped, tile, 0, cols, sums);
    moveSums(sums, kTileRows, y, p.yStride, rows, low, high, false);
  }
}

// One panel, which meets several tiles at once, each the next one of a run of tiles, as in gemm.cpp. Tiles that are left over, or not
// whole, are met alone.
void multiplyPanel(const BlockedProduct& p) {
  DType dtype = p.w.dtype;
  size_t tileBytes = storageBytes(dtype, kTileRows, p.w.cols);
  uint32_t most = directTiles(dtype, p.m);
  // Row `row` of w, and tiles that are `apart` rows from each other.
  auto meet = [&](uint32_t row, uint32_t tiles, uint32_t apart) {
    uint32_t low = p.firstRow > row ? p.firstRow - row : 0, high = least(p.lastRow - row, kTileRows);
    // Columns that are not in y are computed as well, and dropped.
    alignas(16) float sums[kMostTiles * kTileRows] = {};
    for (uint32_t i = 0; p.bias && i < p.m * tiles; i++) {
      uint32_t from = row + i % tiles * apart;
      for (uint32_t c = low; c < high; c++) sums[i * kTileRows + c] = p.bias[from + c - p.firstRow];
    }
    const uint8_t* w = p.w.data + row / kTileRows * tileBytes;
    directProduct(dtype, p.m, tiles)(p.x, w, apart / kTileRows * tileBytes, p.w.cols, sums);
    for (uint32_t i = 0; i < p.m * tiles; i++) {
      float* y = p.y + i / tiles * p.yStride + (row + i % tiles * apart + low - p.firstRow);
      moveSums(sums + i * kTileRows, kTileRows, y, 0, 1, low, high, false);
    }
  };
  uint32_t row = p.firstRow / kTileRows * kTileRows;
  if (row < p.firstRow) meet(row, 1, 0), row += kTileRows;
  uint32_t run = row < p.lastRow ? (p.lastRow - row) / kTileRows / most * kTileRows : 0;
  for (uint32_t i = 0; i < run; i += kTileRows) meet(row + i, most, run);
  for (row += most * run; row < p.lastRow; row += kTileRows) meet(row, 1, 0);
}

void multiplyFew(const BlockedProduct& p, const Panels& panels) {
  DType dtype = p.w.dtype;
  size_t tileBytes = storageBytes(dtype, kTileRows, p.w.cols);
  for (uint32_t row = p.firstRow / kTileRows * kTileRows; row < p.lastRow; row += kTileRows) {
    const uint8_t* tile = p.w.data + row / kTileRows * tileBytes;
    touchAll(tile, tileBytes);
    multiplyPanels(p, panels, row, 0, p.w.cols, tile, Ahead(tile, 0, 1),
                   [=](uint32_t rows) { return directProduct(dtype, rows, 1); });
  }
}

// Blocks of a slice, of `all`: slices are of equal length.
uint32_t sliceBlocks(uint32_t all, uint32_t most) {
  uint32_t slices = (all + most - 1) / most;
  return slices ? (all + slices - 1) / slices : 0;
}

#ifdef __wasm_relaxed_simd__
struct TableMemory {
  alignas(16) uint8_t table[kTableBlocks * tableBlockBytes(kTableTiles)];
  float sums[kBlockRows * kTableTiles * kTileRows];
};
// Rows that meet a table before more of what is wanted next is asked for.
constexpr uint32_t kRowsAtOnce = 24;

// A slice of k of all rows against the tiles that begin with row `row` of w, in as many shorter ones as tables hold: sums rest
// in memory of their own between those.
void multiplyTables(const BlockedProduct& p, uint32_t row, uint32_t tiles, uint32_t first, uint32_t blocks, TableMemory& memory) {
  uint32_t columns = tiles * kTileRows, low = p.firstRow > row ? p.firstRow - row : 0, high = least(p.lastRow - row, columns);
  float* y = p.y + (row + low - p.firstRow);
  if (first) {
    moveSums(memory.sums, columns, y, p.yStride, p.m, low, high, true);
  } else {
    float start[kTableTiles * kTileRows] = {};
    for (uint32_t c = low; p.bias && c < high; c++) start[c] = p.bias[row + c - p.firstRow];
    for (uint32_t r = 0; r < p.m; r++) __builtin_memcpy(memory.sums + r * columns, start, sizeof(float) * columns);
  }
  size_t tileBytes = storageBytes(p.w.dtype, kTileRows, p.w.cols), blockBytes = tileBlockBytes(p.w.dtype);
  size_t rowBytes = (size_t)blockRowBytes(p.w.dtype, p.w.cols);
  const uint8_t* w = p.w.data + row / kTileRows * tileBytes;
  uint32_t most = sliceBlocks(blocks, kTableBlocks), pieces = (p.m + kRowsAtOnce - 1) / kRowsAtOnce;
  TableProduct product = tableProduct(tiles);
  for (uint32_t end = first + blocks; first < end; first += most) {
    uint32_t count = least(end - first, most);
    for (uint32_t t = 0; t < tiles; t++) fillTable(w + t * tileBytes + first * blockBytes, count, tiles, t, memory.table);
    bool isLast = first + count == end;
    const uint8_t* next = w + (isLast ? tiles * tileBytes + (end - blocks) * blockBytes : (first + count) * blockBytes);
    size_t wanted = !isLast || row + 2 * columns <= p.lastRow ? count * blockBytes : 0;
    Ahead ahead(next, wanted, pieces, tiles, tileBytes);
    const uint8_t* x = p.x + first * panelPieceBytes(BlockScheme::flippedPairs);
    for (uint32_t r = 0; r < p.m; r += kRowsAtOnce) {
      ahead.touchPiece();
      product(x + r * rowBytes, rowBytes, least(p.m - r, kRowsAtOnce), memory.table, count, memory.sums + r * columns);
    }
  }
  moveSums(memory.sums, columns, y, p.yStride, p.m, low, high, false);
}

void multiplyByTables(const BlockedProduct& p, TableMemory& memory) {
  uint32_t all = p.w.cols / kBlockCols, depth = sliceBlocks(all, kDepth / kBlockCols), first = 0;
  do {
    uint32_t blocks = least(all - first, depth);
    for (uint32_t row = p.firstRow / kTileRows * kTileRows, tiles; row < p.lastRow; row += tiles * kTileRows) {
      tiles = least((p.lastRow - row + kTileRows - 1) / kTileRows, kTableTiles);
      multiplyTables(p, row, tiles, first, blocks, memory);
    }
    first += depth;
  } while (first < all);
}
#endif

void multiplyMany(const BlockedProduct& p, const Panels& panels, uint8_t* unpacked) {
  DType dtype = p.w.dtype;
  uint32_t block = blockCols(dtype), all = p.w.cols / block, depth = sliceBlocks(all, kDepth / block);
  size_t tileBytes = storageBytes(dtype, kTileRows, p.w.cols);
  uint32_t first = 0;
  do {
    uint32_t blocks = least(all - first, depth);
    for (uint32_t row = p.firstRow / kTileRows * kTileRows; row < p.lastRow; row += kTileRows) {
      const uint8_t* tile = p.w.data + row / kTileRows * tileBytes + first * tileBlockBytes(dtype);
      unpackTile(tile, dtype, blocks * block, unpacked);
      size_t next = row + kTileRows < p.lastRow ? blocks * tileBlockBytes(dtype) : 0;
      multiplyPanels(p, panels, row, first * block, blocks * block, unpacked, Ahead(tile + tileBytes, next, panels.count),
                     [=](uint32_t rows) { return unpackedProduct(dtype, rows); });
    }
    first += depth;
  } while (first < all);
}

}  // namespace

Panels blockPanels(uint32_t rows, DType weights) {
  return Panels(rows, rows <= kFewRows ? kDirectRows : unpackedRows(weights));
}

size_t blockScratch() {
  size_t bytes = unpackedBytes(kDepth);
#ifdef __wasm_relaxed_simd__
  if (bytes < sizeof(TableMemory)) bytes = sizeof(TableMemory);
#endif
  return bytes;
}

void multiplyBlocks(const BlockedProduct& p, uint8_t* scratch) {
  if (directTiles(p.w.dtype, p.m) > 1) return multiplyPanel(p);
  Panels panels = blockPanels(p.m, p.w.dtype);
  if (p.m <= kFewRows) return multiplyFew(p, panels);
#ifdef __wasm_relaxed_simd__
  if (blockScheme(p.w.dtype) == BlockScheme::flippedPairs) return multiplyByTables(p, *(TableMemory*)scratch);
#endif
  multiplyMany(p, panels, scratch);
}

}  // namespace glimt
