// As ggml quantises: Q8_0 makes the largest magnitude 127, Q4_0 the value of largest magnitude -8. src/tensor/blocks.ts
// gives the same bits.
#include "block_weights.h"

#include "glimt_float.h"

namespace glimt {
namespace {

constexpr uint32_t kSteps = kBlockCols / 4;

size_t plainBlockBytes(DType dtype) { return storageBytes(dtype, 1, kBlockCols); }

// A block on its way: its scale as stored, and its integers as they are in tiles, with 128 or 8 added.
struct Block {
  uint16_t scale;
  uint8_t integers[kBlockCols];
};

// 0 where there is none: of a block of zeros, and of scales that f16 stores as zero in any case.
float inverseOf(float scale) {
  float inverse = 1.0f / scale;
  return (bitsOf(inverse) & kMagnitudeBits) < kInfinityBits ? inverse : 0.0f;
}

// The magnitude that is largest, NaN if there is one; `value` receives the first that has it.
float largestOf(const float* x, float& value) {
  uint32_t largest = 0;
  value = 0;
  for (uint32_t i = 0; i < kBlockCols; i++) {
    uint32_t magnitude = bitsOf(x[i]) & kMagnitudeBits;
    if (magnitude <= largest) continue;
    largest = magnitude, value = x[i];
  }
  return floatOf(largest);
}

// Integers are stored by the low byte of each lane.
void storeIntegers(f32x4 whole, int32_t offset, uint8_t* to) {
  v128_t words = wasm_i32x4_add(wasm_i32x4_trunc_sat_f32x4(whole), wasm_i32x4_splat(offset));
  v128_t halves = wasm_i16x8_narrow_i32x4(words, words);
  wasm_v128_store32_lane(to, wasm_u8x16_narrow_i16x8(halves, halves), 0);
}

void quantiseBlock8(const float* x, Block& block) {
  float value, scale = largestOf(x, value) / 127.0f;
  f32x4 inverse = splat(inverseOf(scale)), half = splat(0.5f), one = splat(1.0f), sign = splat(-0.0f);
  for (uint32_t i = 0; i < kBlockCols; i += 4) {
    // To the nearest, half away from zero: what is cut off is exact.
    f32x4 scaled = mul(load(x + i), inverse), whole = wasm_f32x4_trunc(scaled);
    f32x4 more = wasm_v128_and(one, wasm_f32x4_ge(wasm_f32x4_abs(sub(scaled, whole)), half));
    storeIntegers(add(whole, wasm_v128_or(more, wasm_v128_and(scaled, sign))), 128, block.integers + i);
  }
  block.scale = narrowF16(scale);
}

void quantiseBlock4(const float* x, Block& block) {
  float value;
  largestOf(x, value);
  float scale = value / -8.0f;
  f32x4 inverse = splat(inverseOf(scale)), shift = splat(8.5f), most = splat(15.0f);
  for (uint32_t i = 0; i < kBlockCols; i += 4) {
    f32x4 shifted = add(mul(load(x + i), inverse), shift);
    storeIntegers(wasm_f32x4_pmin(wasm_f32x4_trunc(shifted), most), 0, block.integers + i);
  }
  block.scale = narrowF16(scale);
}

void storePlain(DType dtype, const Block& block, uint8_t* to) {
  __builtin_memcpy(to, &block.scale, sizeof(block.scale));
  to += sizeof(block.scale);
  if (dtype == DType::q8) {
    for (uint32_t i = 0; i < kBlockCols; i++) to[i] = block.integers[i] - 128;
    return;
  }
  constexpr uint32_t kHalf = kBlockCols / 2;
  for (uint32_t i = 0; i < kHalf; i++) to[i] = block.integers[i] | block.integers[kHalf + i] << 4;
}

Block loadPlain(DType dtype, const uint8_t* from) {
  Block block;
  __builtin_memcpy(&block.scale, from, sizeof(block.scale));
  from += sizeof(block.scale);
  if (dtype == DType::q8) {
    for (uint32_t i = 0; i < kBlockCols; i++) block.integers[i] = from[i] + 128;
    return block;
  }
  constexpr uint32_t kHalf = kBlockCols / 2;
  for (uint32_t i = 0; i < kHalf; i++) {
    block.integers[i] = from[i] & 15, block.integers[kHalf + i] = from[i] >> 4;
  }
  return block;
}

// A block of row `row`, given where the block of its tile begins.
void storeTiled(DType dtype, const Block& block, uint32_t row, uint8_t* tile) {
  uint32_t lane = row % kTileRows;
  ((uint16_t*)tile)[lane] = block.scale;
  tile += kTileScaleBytes;
  if (dtype == DType::q8) {
    for (uint32_t i = 0; i < kBlockCols; i += 4, tile += 32) {
      __builtin_memcpy(tile + 4 * lane, block.integers + i, 4);
    }
    return;
  }
  // A byte holds two rows.
  bool high = lane >= 4;
  tile += 4 * (lane % 4);
  for (uint32_t step = 0; step < kSteps; step++, tile += 16) {
    for (uint32_t i = 0; i < 4; i++) {
      uint8_t integer = block.integers[4 * step + i];
      tile[i] = high ? (tile[i] & 15) | integer << 4 : (tile[i] & 0xf0) | integer;
    }
  }
}

Block loadTiled(DType dtype, uint32_t row, const uint8_t* tile) {
  Block block;
  uint32_t lane = row % kTileRows;
  block.scale = ((const uint16_t*)tile)[lane];
  tile += kTileScaleBytes;
  for (uint32_t i = 0; i < kBlockCols; i++) {
    if (dtype == DType::q8) {
      block.integers[i] = tile[i / 4 * 32 + 4 * lane + i % 4];
    } else {
      uint8_t both = tile[i / 4 * 16 + 4 * (lane % 4) + i % 4];
      block.integers[i] = lane >= 4 ? both >> 4 : both & 15;
    }
  }
  return block;
}

void widenBlock(DType dtype, const Block& block, float* out) {
  float scale = widenF16(block.scale);
  int32_t offset = dtype == DType::q8 ? 128 : 8;
  for (uint32_t i = 0; i < kBlockCols; i++) out[i] = (float)(block.integers[i] - offset) * scale;
}

// A block of `dtype` from 32 elements of a row-major source of any format; counts those that are not finite as stored.
Block makeBlock(DType dtype, const uint8_t* source, DType sourceDType, uint32_t& bad) {
  Block block;
  if (dtype == sourceDType) {
    block = loadPlain(dtype, source);
  } else {
    alignas(16) float values[kBlockCols];
    widen(source, sourceDType, kBlockCols, values);
    if (dtype == DType::q8) quantiseBlock8(values, block);
    else quantiseBlock4(values, block);
  }
  if ((block.scale & 0x7c00u) == 0x7c00u) bad += kBlockCols;
  return block;
}

}  // namespace

uint32_t packBlockRows(uint8_t* tiles, DType dtype, uint32_t cols, const uint8_t* source, DType sourceDType,
                       uint32_t firstRow, uint32_t count) {
  uint32_t bad = 0;
  size_t sourceBytes = storageBytes(sourceDType, 1, kBlockCols), blockBytes = tileBlockBytes(dtype);
  for (uint32_t row = firstRow; row < firstRow + count; row++) {
    uint8_t* tile = tiles + (size_t)(row / kTileRows) * (cols / kBlockCols) * blockBytes;
    for (uint32_t c = 0; c < cols; c += kBlockCols, source += sourceBytes, tile += blockBytes) {
      storeTiled(dtype, makeBlock(dtype, source, sourceDType, bad), row, tile);
    }
  }
  return bad;
}

uint32_t convertBlocks(uint8_t* out, DType dtype, const uint8_t* source, DType sourceDType, size_t count) {
  uint32_t bad = 0;
  size_t sourceBytes = storageBytes(sourceDType, 1, kBlockCols), blockBytes = plainBlockBytes(dtype);
  for (size_t i = 0; i < count; i += kBlockCols, source += sourceBytes, out += blockBytes) {
    storePlain(dtype, makeBlock(dtype, source, sourceDType, bad), out);
  }
  return bad;
}

void widenBlocks(const uint8_t* plain, DType dtype, size_t count, float* out) {
  for (size_t i = 0; i < count; i += kBlockCols, plain += plainBlockBytes(dtype)) {
    widenBlock(dtype, loadPlain(dtype, plain), out + i);
  }
}

void readTiledBlockRow(const Operand& weight, uint32_t row, float* out) {
  size_t blockBytes = tileBlockBytes(weight.dtype);
  const uint8_t* tile = weight.data + (size_t)(row / kTileRows) * (weight.cols / kBlockCols) * blockBytes;
  for (uint32_t c = 0; c < weight.cols; c += kBlockCols, tile += blockBytes) {
    widenBlock(weight.dtype, loadTiled(weight.dtype, row, tile), out + c);
  }
}

}  // namespace glimt
