// Products with q8 where only bytes of 7 bits are exact (byte_dot.h): those bytes are magnitudes of x, and w takes the signs.
// A pair of columns has the sign of its first x, by which its sum is multiplied as it is widened; where the second x has
// another sign, its w is flipped, ~w = -w - 1. Two products of 127 * 128 are no more than 16 bits hold. What sums begin with
// makes up for the ones (block_rows.cpp). Sums are those of block_tile.h, to the bit.
#pragma once
#ifdef __wasm_relaxed_simd__
#include "block_tile.h"

namespace glimt {

// As directProduct: w is flipped in registers. Only a row meets several tiles at once.
BlockProduct flippedProduct(uint32_t rows, uint32_t tiles);

// Many rows, each a panel, meet a table of some tiles of w, at most kTableTiles by kTableBlocks: of each block the scales of all
// rows of w, then of each step, tile by tile, w with either second column flipped, both, or none.
constexpr uint32_t kTableBlocks = 4, kTableTiles = 4, kFlips = 4;
constexpr size_t tableBlockBytes(uint32_t tiles) { return tiles * kTileRows * (sizeof(float) + kFlips * kBlockCols); }
// `place` is the tile's among those of the table.
void fillTable(const uint8_t* tile, uint32_t blocks, uint32_t tiles, uint32_t place, uint8_t* table);

// sums[r][c] += row r times row c of the tiles, over `blocks` blocks, for `count` rows that are rowBytes apart.
using TableProduct = void (*)(const uint8_t* rows, size_t rowBytes, uint32_t count, const uint8_t* table, uint32_t blocks,
                              float* sums);
TableProduct tableProduct(uint32_t tiles);

}  // namespace glimt
#endif
