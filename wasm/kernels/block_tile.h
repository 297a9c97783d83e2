// The register tile of products with weights in blocks: rows of x in a panel (block_rows.h) against 8 rows of w, or several
// times 8. Of each 32 columns the exact sum of integer products, times the codes of scales where w has them, then y = y +
// float(sum) * (scale of w * scale of x), each step rounded to f32; and where w has minima, of each of its blocks y = y +
// minimum of w * the sum of codes times sums of x. So every sum is one chain over blocks, and its bits depend on its row of x
// and of w alone.
#pragma once
#include "block_rows.h"
#include "tile.h"

namespace glimt {

// sums[r][8 t + c] += panel's row r times row c of tile t, over `cols` columns, which are whole blocks. Tiles are tileBytes apart.
using BlockProduct = void (*)(const uint8_t* panel, const uint8_t* tiles, size_t tileBytes, uint32_t cols, float* sums);

// Panels that are few meet tiles as they are stored. A panel has at most this many rows then.
constexpr uint32_t kDirectRows = 4;
// Tiles that a panel of so many rows meets at once: tilesAtOnce(rows) where there is such a product, else 1. What is loaded of x
// serves all, and memory is read in several places.
uint32_t directTiles(DType dtype, uint32_t rows);
// `tiles` is 1 or directTiles(dtype, rows).
BlockProduct directProduct(DType dtype, uint32_t rows, uint32_t tiles);

// Many panels meet a tile that is unpacked once: scales and minima in f32, codes, a byte or a word for each integer. `unpackedBytes`
// are those of any format.
size_t unpackedBytes(uint32_t cols);
void unpackTile(const uint8_t* w, DType dtype, uint32_t cols, uint8_t* unpacked);
// Panels of more rows than this together are many.
constexpr uint32_t kFewRows = 16;
// Rows of one of many panels at most. They are of nearly the same height: the lowest have 4 rows, or 3 where 4 is the most.
uint32_t unpackedRows(DType dtype);
BlockProduct unpackedProduct(DType dtype, uint32_t rows);

}  // namespace glimt
