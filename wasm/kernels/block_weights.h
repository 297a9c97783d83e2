// Weights in blocks (weights.h): making them, and reading them back.
#pragma once
#include "weights.h"

namespace glimt {

// Rows [firstRow, firstRow + count) of a weight of `dtype` in layout tiles8, from a row-major source of any format. Returns
// how many elements are infinite or NaN as stored: all of a block whose scale is.
uint32_t packBlockRows(uint8_t* tiles, DType dtype, uint32_t cols, const uint8_t* source, DType sourceDType,
                       uint32_t firstRow, uint32_t count);

// The same for `count` elements, which are whole blocks, in layout plain.
uint32_t convertBlocks(uint8_t* out, DType dtype, const uint8_t* source, DType sourceDType, size_t count);

// out[0 .. count - 1] from plain blocks.
void widenBlocks(const uint8_t* plain, DType dtype, size_t count, float* out);

// A row of a weight in layout tiles8.
void readTiledBlockRow(const Operand& weight, uint32_t row, float* out);

}  // namespace glimt
