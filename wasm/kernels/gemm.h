// Matrix products against weights in tiles.
#pragma once
#include "kernel.h"

namespace glimt {

// Rows of activations: row i is row (index ? index[i] : i) of a matrix with `stride` elements a row.
struct Rows {
  const float* base;
  size_t stride;
  const int32_t* index;

  const float* row(uint32_t i) const { return base + stride * (size_t)(index ? index[i] : i); }
};

struct Product {
  Rows x;
  uint32_t m;
  const Operand& w;
  // Rows of w that take part: y has lastRow - firstRow columns.
  uint32_t firstRow, lastRow;
  // Added to each row when not null; bias[0] belongs to firstRow.
  const float* bias;
  float* y;
  size_t yStride;
};

// Rows of x that are packed together.
constexpr uint32_t kBlockRows = 144;

// Bytes of memory `multiply` needs.
size_t multiplyScratch();
// y = x wᵀ + bias. Any m; blocks of kBlockRows rows cost least. An element is the bias and then the products in the order of
// k, added one by one: its bits depend on its row of x and of w alone.
void multiply(const Product& product, uint8_t* scratch);

// Columns of y that a part should have, whose m rows all belong to it, when there are n columns and `times` parts of
// each range: whole tiles, few enough for slices and for all workers, not so few that packing x shows.
uint32_t columnsOfPart(const Call& call, uint32_t m, uint32_t n, uint32_t k, uint32_t times);

}  // namespace glimt
