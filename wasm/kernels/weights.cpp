// Weight storage: conversion between f32, bf16 and f16 (glimt_float.h), and the tiled layout.
#include "weights.h"

#include "block_weights.h"
#include "glimt_float.h"

namespace glimt {
namespace {

// Stores one element; 1 when what was stored is infinite or NaN.
uint32_t writeElement(void* out, DType dtype, size_t index, float value) {
  storeFloat(dtype, out, index, value);
  return (bitsOf(value) & kMagnitudeBits) >= overflowBits(dtype);
}

// The same storage type on both sides: patterns move untouched.
template <class Word>
uint32_t packSame(Word* out, const Word* source, uint32_t cols, uint32_t lane, Word exponent) {
  uint32_t bad = 0;
  for (uint32_t c = 0; c < cols; c++) {
    bad += (source[c] & exponent) == exponent;
    out[(size_t)c * kTileRows + lane] = source[c];
  }
  return bad;
}

// Eight rows of eight 16-bit patterns, the other way round.
inline void transpose8(v128_t* r) {
  v128_t pairs[8], fours[8];
  for (uint32_t i = 0; i < 4; i++) {
    v128_t a = r[2 * i], b = r[2 * i + 1];
    pairs[2 * i] = wasm_i16x8_shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    pairs[2 * i + 1] = wasm_i16x8_shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  }
  for (uint32_t i = 0; i < 4; i++) {
    v128_t a = pairs[4 * (i / 2) + i % 2], b = pairs[4 * (i / 2) + i % 2 + 2];
    fours[2 * i] = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5);
    fours[2 * i + 1] = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
  }
  for (uint32_t i = 0; i < 4; i++) {
    r[2 * i] = wasm_i64x2_shuffle(fours[i], fours[i + 4], 0, 2);
    r[2 * i + 1] = wasm_i64x2_shuffle(fours[i], fours[i + 4], 1, 3);
  }
}

// A whole tile of 16-bit patterns, eight columns at a time: what packSame makes of its rows.
uint32_t packTile16(uint16_t* out, const uint16_t* source, uint32_t cols, uint16_t exponent) {
  v128_t mask = wasm_i16x8_splat((int16_t)exponent), found = wasm_i16x8_splat(0);
  uint32_t c = 0;
  for (; c + 8 <= cols; c += 8, out += 8 * kTileRows) {
    v128_t rows[kTileRows];
    for (uint32_t r = 0; r < kTileRows; r++) {
      rows[r] = wasm_v128_load(source + (size_t)r * cols + c);
      found = wasm_v128_or(found, wasm_i16x8_eq(wasm_v128_and(rows[r], mask), mask));
    }
    transpose8(rows);
    for (uint32_t r = 0; r < kTileRows; r++) wasm_v128_store(out + (size_t)r * kTileRows, rows[r]);
  }
  uint32_t bad = 0;
  for (uint32_t r = 0; r < kTileRows; r++) {
    bad += packSame<uint16_t>(out, source + (size_t)r * cols + c, cols - c, r, exponent);
  }
  if (!wasm_v128_any_true(found)) return bad;
  // Hardly ever: how many there are is counted only then.
  for (uint32_t r = 0; r < kTileRows; r++) {
    for (uint32_t i = 0; i < c; i++) bad += (source[(size_t)r * cols + i] & exponent) == exponent;
  }
  return bad;
}

}  // namespace

void widen(const void* source, DType dtype, size_t count, float* out) {
  if (isBlockFormat(dtype)) return widenBlocks((const uint8_t*)source, dtype, count, out);
  size_t i = 0;
  if (dtype != DType::f32) {
    const uint16_t* patterns = (const uint16_t*)source;
    for (; i + 8 <= count; i += 8) {
      f32x4 low, high;
      v128_t packed = wasm_v128_load(patterns + i);
      if (dtype == DType::bf16) widenBf16(packed, low, high);
      else widenF16(packed, low, high);
      store(out + i, low);
      store(out + i + 4, high);
    }
  }
  for (; i < count; i++) out[i] = loadFloat(dtype, source, i);
}

void readWeightRow(const Operand& weight, uint32_t row, float* out) {
  uint32_t cols = weight.cols;
  if (weight.layout == Layout::plain) {
    widen(weight.data + row * storageBytes(weight.dtype, 1, weight.stride), weight.dtype, cols, out);
    return;
  }
  if (isBlockFormat(weight.dtype)) return readTiledBlockRow(weight, row, out);
  size_t first = (size_t)(row / kTileRows) * cols * kTileRows + row % kTileRows;
  for (uint32_t c = 0; c < cols; c++) {
    out[c] = loadFloat(weight.dtype, weight.data, first + (size_t)c * kTileRows);
  }
}

uint32_t packRows(void* tiles, DType dtype, uint32_t cols, const void* source, DType sourceDType, uint32_t firstRow,
                  uint32_t count) {
  if (isBlockFormat(dtype)) {
    return packBlockRows((uint8_t*)tiles, dtype, cols, (const uint8_t*)source, sourceDType, firstRow, count);
  }
  uint32_t bad = 0;
  for (uint32_t r = 0; r < count; r++) {
    uint32_t row = firstRow + r, lane = row % kTileRows;
    size_t from = (size_t)r * cols, tile = (size_t)(row / kTileRows) * cols * kTileRows;
    if (dtype != sourceDType) {
      for (uint32_t c = 0; c < cols; c++) {
        float value = loadFloat(sourceDType, source, from + c);
        bad += writeElement(tiles, dtype, tile + (size_t)c * kTileRows + lane, value);
      }
    } else if (dtype == DType::f32) {
      bad += packSame<uint32_t>((uint32_t*)tiles + tile, (const uint32_t*)source + from, cols, lane, 0x7f800000u);
    } else {
      uint16_t exponent = dtype == DType::bf16 ? 0x7f80u : 0x7c00u;
      if (lane == 0 && r + kTileRows <= count) {
        bad += packTile16((uint16_t*)tiles + tile, (const uint16_t*)source + from, cols, exponent);
        r += kTileRows - 1;
        continue;
      }
      bad += packSame<uint16_t>((uint16_t*)tiles + tile, (const uint16_t*)source + from, cols, lane, exponent);
    }
  }
  return bad;
}

uint32_t convertRows(void* out, DType dtype, const void* source, DType sourceDType, uint32_t rows, uint32_t cols) {
  size_t count = (size_t)rows * cols;
  if (isBlockFormat(dtype)) return convertBlocks((uint8_t*)out, dtype, (const uint8_t*)source, sourceDType, count);
  uint32_t bad = 0;
  for (size_t i = 0; i < count; i++) bad += writeElement(out, dtype, i, loadFloat(sourceDType, source, i));
  return bad;
}

}  // namespace glimt
