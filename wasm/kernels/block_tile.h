// The register tile of products with weights in blocks: rows of x in a panel (block_rows.h) against 8 rows of w. Of each
// block the exact sum of integer products, then y = y + float(sum) * (scale of w * scale of x), each step rounded to f32.
// So every sum is one chain over blocks, and its bits depend on its row of x and of w alone.
#pragma once
#include "block_rows.h"
#include "tile.h"

namespace glimt {

// sums[r][c] += panel's row r times row c of the tile, over `blocks` blocks.
using BlockProduct = void (*)(const uint8_t* panel, const uint8_t* tile, uint32_t blocks, float* sums);

// Panels that are few meet tiles as they are stored. A panel has at most this many rows then.
constexpr uint32_t kDirectRows = 4;
BlockProduct directProduct(DType dtype, uint32_t rows);

// Many panels meet a tile that is unpacked once: scales in f32, a byte or a word for each integer.
size_t unpackedBytes(BlockScheme scheme, uint32_t blocks);
void unpackTile(const uint8_t* w, DType dtype, uint32_t blocks, uint8_t* unpacked);
uint32_t unpackedRows(BlockScheme scheme);
BlockProduct unpackedProduct(BlockScheme scheme, uint32_t rows);

}  // namespace glimt
