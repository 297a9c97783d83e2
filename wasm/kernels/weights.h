// Weights in memory. Layout plain: row by row. Layout tiles8: tiles of 8 rows with the columns outside,
// [ceil(rows/8)][cols][8], the last tile padded with zeros; GEMM and GEMV both stream it.
//
// Block formats are ggml's (src/tensor/block-parts.ts): blocks of 32 columns of a row, or of 256, of integers with scales, and
// minima, for groups of 32 or 16. In layout plain a block lies as ggml has it. In layout tiles8 the blocks of 8 rows lie
// together. First of each row the number in f16 that its scales are made of, and that of its minima; in blocks of 256 the
// codes of both, by groups (block_weights.cpp). Then in steps of four columns, row beside row, a byte for each element of
// q8, q + 128; of the others integers without a sign, of 4 bits two a byte, those of 4 rows in the low halves and those of
// the rows four below in the high ones; of 5 and 6 bits as block_weights.cpp says. So all is at multiples of 16.
#pragma once
#include "kernel.h"
#include "simd.h"

namespace glimt {

constexpr uint32_t kTileRows = tileRows(Layout::tiles8);

// Of formats without blocks.
constexpr size_t elementBytes(DType dtype) { return storageBytes(dtype, 1, 1); }

constexpr uint32_t bitsOfInteger(DType dtype) { return program::kFormats[(uint32_t)dtype].bits; }
// Columns that share a scale.
constexpr uint32_t groupCols(DType dtype) { return dtype == DType::q6_k ? 16 : kBlockCols; }
constexpr bool hasMinima(DType dtype) {
  return dtype == DType::q4_1 || dtype == DType::q5_1 || dtype == DType::q4_k || dtype == DType::q5_k;
}

// Of a block of 8 rows in layout tiles8; of what is before its steps, and in it of the numbers in f16.
constexpr size_t tileBlockBytes(DType dtype) { return storageBytes(dtype, kTileRows, blockCols(dtype)); }
constexpr size_t tileHeadBytes(DType dtype) { return (size_t)kTileRows * program::kFormats[(uint32_t)dtype].groupBytes; }
constexpr size_t tileNumberBytes(DType dtype) { return kTileRows * sizeof(uint16_t) * (hasMinima(dtype) ? 2 : 1); }

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
