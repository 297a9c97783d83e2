// The register tile of products with weights in blocks: rows of x in a panel (block_rows.h) against 8 rows of w. Of each 32
// columns the exact sum of integer products, times the codes of scales where w has them, then y = y + float(sum) * (scale of
// w * scale of x), each step rounded to f32; and where w has minima, of each of its blocks y = y + minimum of w * the sum of
// codes times sums of x. So every sum is one chain over blocks, and its bits depend on its row of x and of w alone.
#pragma once
#include "block_rows.h"
#include "tile.h"

namespace glimt {

// sums[r][c] += panel's row r times row c of the tile, over `cols` columns, which are whole blocks.
using BlockProduct = void (*)(const uint8_t* panel, const uint8_t* tile, uint32_t cols, float* sums);

// Panels that are few meet tiles as they are stored. A panel has at most this many rows then.
constexpr uint32_t kDirectRows = 4;
BlockProduct directProduct(DType dtype, uint32_t rows);

// Many panels meet a tile that is unpacked once: scales and minima in f32, codes, a byte or a word for each integer. `unpackedBytes`
// are those of any format.
size_t unpackedBytes(uint32_t cols);
void unpackTile(const uint8_t* w, DType dtype, uint32_t cols, uint8_t* unpacked);
// Rows of a panel: at most so many, and at least these, since there are several panels.
uint32_t unpackedRows(DType dtype);
constexpr uint32_t kLeastUnpackedRows = 4;
BlockProduct unpackedProduct(DType dtype, uint32_t rows);

}  // namespace glimt
