// Weights in memory. Layout plain: row by row. Layout tiles8: tiles of 8 rows with the columns outside,
// [ceil(rows/8)][cols][8], the last tile padded with zeros; GEMM and GEMV both stream it.
//
// q8 and q4 are ggml's Q8_0 and Q4_0: blocks of 32 columns of a row, whose integers share a scale in f16. In layout plain
// a block is its scale, then 32 integers, of q4 two a byte: q + 8 of columns 0..15 in the low halves, of 16..31 in the high
// ones. In layout tiles8 the blocks of 8 rows lie together: 8 scales, then in steps of four columns, row beside row, a
// byte for each element of q8, q + 128; of q4 a step has 4 rows, q + 8 of which are low halves, and the high ones those
// of the row four below. So all is at multiples of 16.
#pragma once
#include "kernel.h"
#include "simd.h"

namespace glimt {

constexpr uint32_t kTileRows = tileRows(Layout::tiles8);

// Of formats without blocks.
constexpr size_t elementBytes(DType dtype) { return storageBytes(dtype, 1, 1); }

// Of a block of 8 rows in layout tiles8, and of its scales.
constexpr size_t tileBlockBytes(DType dtype) { return storageBytes(dtype, kTileRows, kBlockCols); }
constexpr size_t kTileScaleBytes = kTileRows * sizeof(uint16_t);

// out[0 .. count - 1], as f32, from `count` elements of `dtype`; of block formats whole blocks in layout plain.
void widen(const void* source, DType dtype, size_t count, float* out);

// Columns [first, first + depth) of the tile that begins with row `row`, as f32 [depth][8]: where they lie in a weight
// that is f32, otherwise in `out`.
inline const float* widenTile(const Operand& weight, uint32_t row, uint32_t first, uint32_t depth, float* out) {
  size_t index = (size_t)row * weight.cols + (size_t)first * kTileRows;
  const uint8_t* columns = weight.data + index * elementBytes(weight.dtype);
  if (weight.dtype == DType::f32) return (const float*)columns;
  widen(columns, weight.dtype, (size_t)depth * kTileRows, out);
  return out;
}

// out[c] = weight[row, c] for a weight in either layout.
void readWeightRow(const Operand& weight, uint32_t row, float* out);

// Converts and lays out rows [firstRow, firstRow + count) of a weight [rows, cols]; the source is row-major.
// Returns how many of the stored values are infinite or NaN.
uint32_t packRows(void* tiles, DType dtype, uint32_t cols, const void* source, DType sourceDType, uint32_t firstRow,
                  uint32_t count);

// The same for whole rows of a plain weight.
uint32_t convertRows(void* out, DType dtype, const void* source, DType sourceDType, uint32_t rows, uint32_t cols);

}  // namespace glimt
