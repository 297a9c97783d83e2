#include "moved_blocks.h"

namespace glimt {
namespace {

constexpr uint32_t kQuarter = 4;

// Words of four elements of rows 0..3, of four steps each, become the steps of these rows, `stride` bytes apart.
void storeSteps(v128_t* rows, uint8_t* to, uint32_t stride) {
  transpose(rows[0], rows[1], rows[2], rows[3]);
  for (uint32_t step = 0; step < kQuarter; step++) wasm_v128_store(to + (size_t)step * stride, rows[step]);
}

// The integers of a block of each of the eight rows of a tile, which lie `rowBytes` apart.
void moveTileOf8(const uint8_t* source, size_t rowBytes, uint8_t* tile) {
  v128_t offset = wasm_i8x16_splat((int8_t)0x80);
  for (uint32_t half = 0; half < 2; half++, source += 16, tile += 4 * 32) {
    for (uint32_t four = 0; four < 2; four++) {
      v128_t rows[4];
      for (uint32_t r = 0; r < 4; r++) {
        rows[r] = wasm_v128_xor(wasm_v128_load(source + (4 * four + r) * rowBytes), offset);
      }
      storeSteps(rows, tile + 16 * four, 32);
    }
  }
}

void moveTileOf4(const uint8_t* source, size_t rowBytes, uint8_t* tile) {
  v128_t low[4], high[4], mask = wasm_i8x16_splat(15), upper = wasm_i8x16_splat((int8_t)0xf0);
  for (uint32_t r = 0; r < 4; r++) {
    v128_t a = wasm_v128_load(source + r * rowBytes), b = wasm_v128_load(source + (r + 4) * rowBytes);
    low[r] = wasm_v128_or(wasm_v128_and(a, mask), wasm_i16x8_shl(wasm_v128_and(b, mask), 4));
    high[r] = wasm_v128_or(wasm_u16x8_shr(wasm_v128_and(a, upper), 4), wasm_v128_and(b, upper));
  }
  storeSteps(low, tile, 16);
  storeSteps(high, tile + 4 * 16, 16);
}

}  // namespace

uint32_t moveTile(uint8_t* tile, DType dtype, uint32_t cols, const uint8_t* source) {
  uint32_t bad = 0;
  size_t rowBytes = storageBytes(dtype, 1, cols);
  for (uint32_t c = 0; c < cols; c += kBlockCols, source += storageBytes(dtype, 1, kBlockCols), tile += tileBlockBytes(dtype)) {
    uint16_t* scales = (uint16_t*)tile;
    for (uint32_t r = 0; r < kTileRows; r++) {
      __builtin_memcpy(scales + r, source + r * rowBytes, sizeof(uint16_t));
      if ((scales[r] & 0x7c00u) == 0x7c00u) bad += kBlockCols;
    }
    const uint8_t* integers = source + sizeof(uint16_t);
    if (dtype == DType::q8) moveTileOf8(integers, rowBytes, tile + tileHeadBytes(dtype));
    else moveTileOf4(integers, rowBytes, tile + tileHeadBytes(dtype));
  }
  return bad;
}

}  // namespace glimt
