// Matrix products against weights in blocks.
#pragma once
#include "block_rows.h"
#include "tile.h"

namespace glimt {

// How `rows` rows of x that are multiplied together are cut into panels, each of which is quantised as one; row r's panel
// begins blockRowBytes times its first row behind the first.
Panels blockPanels(uint32_t rows, DType weights);

// y[m, lastRow - firstRow] = x wᵀ + bias for rows [firstRow, lastRow) of w.
struct BlockedProduct {
  // The panels of m rows.
  const uint8_t* x;
  uint32_t m;
  const Operand& w;
  uint32_t firstRow, lastRow;
  // Added to each row when not null; bias[0] belongs to firstRow.
  const float* bias;
  float* y;
  size_t yStride;
};

// Bytes of memory `multiplyBlocks` needs.
size_t blockScratch();
void multiplyBlocks(const BlockedProduct& product, uint8_t* scratch);

}  // namespace glimt
