// Weights in memory, f32, bf16 or f16. Layout plain: row by row. Layout tiles8: tiles of 8 rows with the columns outside,
// [ceil(rows/8)][cols][8], the last tile padded with zeros; GEMM and GEMV both stream it.
#pragma once
#include "kernel.h"
#include "simd.h"

namespace glimt {

constexpr uint32_t kTileRows = tileRows(Layout::tiles8);

constexpr size_t elementBytes(DType dtype) { return storageBytes(dtype, 1, 1); }

// out[0 .. count - 1], as f32, from `count` elements of `dtype`.
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
