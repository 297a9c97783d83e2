// As ggml quantises: Q8_0 makes the largest magnitude 127, Q4_0 the value of largest magnitude -8. src/tensor/blocks.ts
// gives the same bits; what blocks hold, src/tensor/block-parts.ts says too.
#include "block_weights.h"

#include "glimt_float.h"
#include "moved_blocks.h"

namespace glimt {
namespace {

constexpr uint32_t kLongCols = 256, kMostGroups = kLongCols / 16;

// A block on its way: numbers in f16 that scales and minima are made of, the codes of these, and the integers as they are in
// tiles, not negative.
struct Block {
  uint16_t scale, minimum;
  // Of Q6_K signed.
  uint8_t scaleCodes[kMostGroups], minimumCodes[kMostGroups / 2];
  uint8_t integers[kLongCols];
};

// What is added to integers.
int32_t offsetOf(DType dtype) {
  switch (dtype) {
    case DType::q8: return 128;
    case DType::q4: return 8;
    case DType::q5_0: return 16;
    case DType::q6_k: return 32;
    default: return 0;
  }
}

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

// Of the formats that are made here.
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

// The low halves of `count` bytes, then their high ones.
void loadHalves(const uint8_t* from, uint32_t count, uint8_t* integers) {
  for (uint32_t i = 0; i < count; i++) {
    integers[i] = from[i] & 15, integers[count + i] = from[i] >> 4;
  }
}

// A fifth bit of 32 integers, the lowest first.
void loadFifthBits(const uint8_t* from, uint8_t* integers) {
  for (uint32_t i = 0; i < kBlockCols; i++) integers[i] |= (from[i / 8] >> i % 8 & 1) << 4;
}

// Of Q4_K and Q5_K: eight scales and eight minima of six bits in twelve bytes, those of the last four in two pieces.
void loadCodes(const uint8_t* from, Block& block) {
  for (uint32_t g = 0; g < 4; g++) {
    uint8_t low = from[g], high = from[g + 4], both = from[g + 8];
    block.scaleCodes[g] = low & 63, block.scaleCodes[g + 4] = (both & 15) | low >> 6 << 4;
    block.minimumCodes[g] = high & 63, block.minimumCodes[g + 4] = both >> 4 | high >> 6 << 4;
  }
}

uint16_t loadHalf(const uint8_t* from) {
  uint16_t half;
  __builtin_memcpy(&half, from, sizeof(half));
  return half;
}

void loadPlain(DType dtype, const uint8_t* from, Block& block) {
  constexpr uint32_t kHalf = kBlockCols / 2;
  block.scale = loadHalf(from);
  if (hasMinima(dtype)) block.minimum = loadHalf(from + 2);
  switch (dtype) {
    case DType::q8:
      for (uint32_t i = 0; i < kBlockCols; i++) block.integers[i] = from[2 + i] + 128;
      break;
    case DType::q4: loadHalves(from + 2, kHalf, block.integers); break;
    case DType::q4_1: loadHalves(from + 4, kHalf, block.integers); break;
    case DType::q5_0:
      loadHalves(from + 6, kHalf, block.integers);
      loadFifthBits(from + 2, block.integers);
      break;
    case DType::q5_1:
      loadHalves(from + 8, kHalf, block.integers);
      loadFifthBits(from + 4, block.integers);
      break;
    case DType::q4_k:
      loadCodes(from + 4, block);
      for (uint32_t i = 0; i < kLongCols; i += 64) loadHalves(from + 16 + i / 2, 32, block.integers + i);
      break;
    case DType::q5_k:
      loadCodes(from + 4, block);
      for (uint32_t i = 0; i < kLongCols; i += 64) loadHalves(from + 48 + i / 2, 32, block.integers + i);
      for (uint32_t g = 0; g < 8; g++) {
        for (uint32_t i = 0; i < 32; i++) block.integers[32 * g + i] |= (from[16 + i] >> g & 1) << 4;
      }
      break;
    case DType::q6_k:
      block.scale = loadHalf(from + 208);
      __builtin_memcpy(block.scaleCodes, from + 192, kMostGroups);
      for (uint32_t side = 0; side < 2; side++) {
        uint8_t* integers = block.integers + 128 * side;
        loadHalves(from + 64 * side, 64, integers);
        for (uint32_t g = 0; g < 4; g++) {
          for (uint32_t i = 0; i < 32; i++) integers[32 * g + i] |= (from[128 + 32 * side + i] >> 2 * g & 3) << 4;
        }
      }
      break;
    default: break;
  }
}

// Bits [from, from + count) of an integer, which are bit `at` and the next ones of bytes of vector `vector` of a run.
struct Piece {
  uint32_t vector, at, from, count;
};

// How integers of a step lie: in runs of steps, of which integer i is that of step i / 2, of rows 0 .. 3 where it is even and of
// the rows four below where it is odd. A vector has a byte for each of 4 rows by 4 columns. Integers that have no vector of
// their own are in what others leave free.
struct Steps {
  uint32_t runSteps, vectors;
  // Of each integer up to three.
  Piece pieces[8][3];
};

constexpr Steps kFourBits = {1, 1, {{{0, 0, 0, 4}}, {{0, 4, 0, 4}}}};
constexpr Steps kFiveBits = {4,
                             5,
                             {{{0, 0, 0, 5}},
                              {{1, 0, 0, 5}},
                              {{2, 0, 0, 5}},
                              {{3, 0, 0, 5}},
                              {{4, 0, 0, 5}},
                              {{0, 5, 0, 3}, {1, 5, 3, 2}},
                              {{2, 5, 0, 3}, {3, 5, 3, 2}},
                              {{4, 5, 0, 3}, {1, 7, 3, 1}, {3, 7, 4, 1}}}};
constexpr Steps kSixBits = {
    2, 3, {{{0, 0, 0, 6}}, {{1, 0, 0, 6}}, {{2, 0, 0, 6}}, {{0, 6, 0, 2}, {1, 6, 2, 2}, {2, 6, 4, 2}}}};

template <uint32_t bits>
constexpr const Steps& kStepsOf = bits == 4 ? kFourBits : bits == 5 ? kFiveBits : kSixBits;

constexpr const Steps& stepsOf(uint32_t bits) { return bits == 4 ? kFourBits : bits == 5 ? kFiveBits : kSixBits; }

constexpr size_t kVectorBytes = 16;

// Calls visit(word, shift, piece) for the pieces of integer `index`, counted over all runs: where in the tile the bytes of a row
// are.
template <class Visit>
void eachPiece(const Steps& steps, uint32_t index, uint8_t* to, Visit visit) {
  uint32_t integers = 2 * steps.runSteps;
  to += index / integers * steps.vectors * kVectorBytes;
  for (const Piece& piece : steps.pieces[index % integers]) {
    if (piece.count) visit(to + piece.vector * kVectorBytes, piece);
  }
}

// The same number in each byte.
constexpr uint32_t bytesOf(uint32_t byte) { return byte * 0x01010101u; }

// Integers 4 s .. 4 s + 3 are those of step s, of a row of the tile.
void storeSteps(const Steps& steps, const uint8_t* integers, uint32_t count, uint32_t lane, uint8_t* to) {
  for (uint32_t step = 0; step < count; step++) {
    uint32_t four;
    __builtin_memcpy(&four, integers + 4 * step, 4);
    eachPiece(steps, 2 * step + lane / 4, to + 4 * (lane % 4), [=](uint8_t* place, const Piece& piece) {
      uint32_t word, mask = bytesOf((1u << piece.count) - 1);
      __builtin_memcpy(&word, place, 4);
      word = (word & ~(mask << piece.at)) | (four >> piece.from & mask) << piece.at;
      __builtin_memcpy(place, &word, 4);
    });
  }
}

void loadSteps(const Steps& steps, const uint8_t* from, uint32_t count, uint32_t lane, uint8_t* integers) {
  for (uint32_t step = 0; step < count; step++) {
    uint32_t four = 0;
    eachPiece(steps, 2 * step + lane / 4, (uint8_t*)from + 4 * (lane % 4), [&](uint8_t* place, const Piece& piece) {
      uint32_t word;
      __builtin_memcpy(&word, place, 4);
      four |= (word >> piece.at & bytesOf((1u << piece.count) - 1)) << piece.from;
    });
    __builtin_memcpy(integers + 4 * step, &four, 4);
  }
}

// The vectors of a run, of its integers.
template <uint32_t bits>
void storeRun(const v128_t* integers, uint8_t* to) {
  constexpr const Steps& steps = kStepsOf<bits>;
  v128_t vectors[steps.vectors];
#pragma unroll
  for (uint32_t vector = 0; vector < steps.vectors; vector++) vectors[vector] = zero();
#pragma unroll
  for (uint32_t i = 0; i < 2 * steps.runSteps; i++) {
#pragma unroll
    for (uint32_t p = 0; p < 3; p++) {
      constexpr const Piece(&pieces)[8][3] = steps.pieces;
      const Piece& piece = pieces[i][p];
      uint32_t mask = ((1u << piece.count) - 1) << piece.from;
      v128_t some = wasm_v128_and(integers[i], wasm_i8x16_splat((int8_t)mask));
      some = piece.at > piece.from ? wasm_i16x8_shl(some, piece.at - piece.from)
                                   : wasm_u16x8_shr(some, piece.from - piece.at);
      vectors[piece.vector] = wasm_v128_or(vectors[piece.vector], some);
    }
  }
#pragma unroll
  for (uint32_t vector = 0; vector < steps.vectors; vector++) wasm_v128_store(to + kVectorBytes * vector, vectors[vector]);
}

// The integers of a block of each row of a tile.
template <uint32_t bits>
void storeTileSteps(const Block* rows, uint32_t count, uint8_t* to) {
  constexpr const Steps& steps = kStepsOf<bits>;
  v128_t integers[2 * steps.runSteps];
  for (uint32_t step = 0; step < count; step += steps.runSteps, to += kVectorBytes * steps.vectors) {
#pragma unroll
    for (uint32_t i = 0; i < 2 * steps.runSteps; i++) {
      const Block* four = rows + 4 * (i % 2);
      uint32_t at = 4 * (step + i / 2);
      v128_t words = wasm_v128_load32_zero(four[0].integers + at);
      words = wasm_v128_load32_lane(four[1].integers + at, words, 1);
      words = wasm_v128_load32_lane(four[2].integers + at, words, 2);
      integers[i] = wasm_v128_load32_lane(four[3].integers + at, words, 3);
    }
    storeRun<bits>(integers, to);
  }
}

// Codes of six bits are kept as integers of six bits are: of each 32 columns 16, the scale codes of all rows and then their
// minimum codes. `place` is which of them.
void storeCode(uint8_t code, uint32_t part, uint32_t place, uint8_t* codes) {
  eachPiece(kSixBits, part, codes + place, [=](uint8_t* byte, const Piece& piece) {
    uint8_t mask = (uint8_t)((1u << piece.count) - 1);
    *byte = (uint8_t)((*byte & ~(mask << piece.at)) | (code >> piece.from & mask) << piece.at);
  });
}

uint8_t loadCode(uint32_t part, uint32_t place, const uint8_t* codes) {
  uint8_t code = 0;
  eachPiece(kSixBits, part, (uint8_t*)codes + place, [&](uint8_t* byte, const Piece& piece) {
    code |= (uint8_t)((*byte >> piece.at & ((1u << piece.count) - 1)) << piece.from);
  });
  return code;
}

// A block of row `row`, given where the block of its tile begins.
void storeTiled(DType dtype, const Block& block, uint32_t row, uint8_t* tile) {
  uint32_t lane = row % kTileRows, cols = blockCols(dtype);
  ((uint16_t*)tile)[lane] = block.scale;
  if (hasMinima(dtype)) ((uint16_t*)tile)[kTileRows + lane] = block.minimum;
  uint8_t* codes = tile + tileNumberBytes(dtype);
  if (dtype == DType::q6_k) {
    for (uint32_t g = 0; g < kMostGroups; g++) codes[kTileRows * g + lane] = block.scaleCodes[g];
  } else if (cols == kLongCols) {
    for (uint32_t g = 0; g < kMostGroups / 2; g++) {
      storeCode(block.scaleCodes[g], g, lane, codes);
      storeCode(block.minimumCodes[g], g, kTileRows + lane, codes);
    }
  }
  tile += tileHeadBytes(dtype);
  if (dtype == DType::q8) {
    for (uint32_t i = 0; i < kBlockCols; i += 4, tile += 32) __builtin_memcpy(tile + 4 * lane, block.integers + i, 4);
    return;
  }
  storeSteps(stepsOf(bitsOfInteger(dtype)), block.integers, cols / 4, lane, tile);
}

// The blocks of all rows of a tile, of 6 bits at most.
void storeTile(DType dtype, const Block* rows, uint8_t* tile) {
  uint32_t cols = blockCols(dtype);
  for (uint32_t r = 0; r < kTileRows; r++) {
    ((uint16_t*)tile)[r] = rows[r].scale;
    if (hasMinima(dtype)) ((uint16_t*)tile)[kTileRows + r] = rows[r].minimum;
  }
  uint8_t* codes = tile + tileNumberBytes(dtype);
  if (dtype == DType::q6_k) {
    for (uint32_t g = 0; g < kMostGroups; g++) {
      for (uint32_t r = 0; r < kTileRows; r++) codes[kTileRows * g + r] = rows[r].scaleCodes[g];
    }
  } else if (cols == kLongCols) {
    constexpr uint32_t kRun = 2 * kSixBits.runSteps;
    for (uint32_t g = 0; g < kMostGroups / 2; g += kRun, codes += kVectorBytes * kSixBits.vectors) {
      alignas(16) uint8_t all[kRun][2 * kTileRows];
      for (uint32_t i = 0; i < kRun; i++) {
        for (uint32_t r = 0; r < kTileRows; r++) {
          all[i][r] = rows[r].scaleCodes[g + i], all[i][kTileRows + r] = rows[r].minimumCodes[g + i];
        }
      }
      storeRun<6>((const v128_t*)all, codes);
    }
  }
  tile += tileHeadBytes(dtype);
  switch (bitsOfInteger(dtype)) {
    case 4: return storeTileSteps<4>(rows, cols / 4, tile);
    case 5: return storeTileSteps<5>(rows, cols / 4, tile);
    default: return storeTileSteps<6>(rows, cols / 4, tile);
  }
}

void loadTiled(DType dtype, uint32_t row, const uint8_t* tile, Block& block) {
  uint32_t lane = row % kTileRows, cols = blockCols(dtype);
  block.scale = ((const uint16_t*)tile)[lane];
  if (hasMinima(dtype)) block.minimum = ((const uint16_t*)tile)[kTileRows + lane];
  const uint8_t* codes = tile + tileNumberBytes(dtype);
  if (dtype == DType::q6_k) {
    for (uint32_t g = 0; g < kMostGroups; g++) block.scaleCodes[g] = codes[kTileRows * g + lane];
  } else if (cols == kLongCols) {
    for (uint32_t g = 0; g < kMostGroups / 2; g++) {
      block.scaleCodes[g] = loadCode(g, lane, codes);
      block.minimumCodes[g] = loadCode(g, kTileRows + lane, codes);
    }
  }
  tile += tileHeadBytes(dtype);
  if (dtype == DType::q8) {
    for (uint32_t i = 0; i < kBlockCols; i += 4, tile += 32) __builtin_memcpy(block.integers + i, tile + 4 * lane, 4);
    return;
  }
  loadSteps(stepsOf(bitsOfInteger(dtype)), tile, cols / 4, lane, block.integers);
}

void widenBlock(DType dtype, const Block& block, float* out) {
  int32_t offset = offsetOf(dtype);
  uint32_t cols = blockCols(dtype), group = groupCols(dtype);
  float number = widenF16(block.scale), taken = hasMinima(dtype) ? widenF16(block.minimum) : 0;
  bool isCoded = cols == kLongCols;
  for (uint32_t first = 0, g = 0; first < cols; first += group, g++) {
    float scale = number, minimum = taken;
    if (isCoded) {
      int32_t code = dtype == DType::q6_k ? (int8_t)block.scaleCodes[g] : block.scaleCodes[g];
      scale = number * (float)code;
      if (hasMinima(dtype)) minimum = -taken * (float)block.minimumCodes[g];
    }
    for (uint32_t i = first; i < first + group; i++) {
      float value = (float)(block.integers[i] - offset) * scale;
      out[i] = hasMinima(dtype) ? value + minimum : value;
    }
  }
}

bool isFinite(DType dtype, const Block& block) {
  constexpr uint16_t kExponent = 0x7c00u;
  if ((block.scale & kExponent) == kExponent) return false;
  return !hasMinima(dtype) || (block.minimum & kExponent) != kExponent;
}

// A block of `dtype` from as many elements of a row-major source, of the same format or of one that it is made of; counts
// those that are not finite as stored.
void makeBlock(DType dtype, const uint8_t* source, DType sourceDType, Block& block, uint32_t& bad) {
  if (dtype == sourceDType) {
    loadPlain(dtype, source, block);
  } else {
    alignas(16) float values[kBlockCols];
    widen(source, sourceDType, kBlockCols, values);
    if (dtype == DType::q8) quantiseBlock8(values, block);
    else quantiseBlock4(values, block);
  }
  if (!isFinite(dtype, block)) bad += blockCols(dtype);
}

}  // namespace

uint32_t packBlockRows(uint8_t* tiles, DType dtype, uint32_t cols, const uint8_t* source, DType sourceDType,
                       uint32_t firstRow, uint32_t count) {
  uint32_t bad = 0, length = blockCols(dtype);
  size_t sourceBytes = storageBytes(sourceDType, 1, length), blockBytes = tileBlockBytes(dtype);
  Block block;
  for (uint32_t row = firstRow; row < firstRow + count; row++) {
    uint8_t* tile = tiles + (size_t)(row / kTileRows) * (cols / length) * blockBytes;
    if (isMoved(dtype, sourceDType) && row % kTileRows == 0 && row + kTileRows <= firstRow + count) {
      bad += moveTile(tile, dtype, cols, source);
      source += kTileRows * storageBytes(dtype, 1, cols);
      row += kTileRows - 1;
      continue;
    }
    if (dtype != DType::q8 && row % kTileRows == 0 && row + kTileRows <= firstRow + count) {
      size_t rowBytes = storageBytes(sourceDType, 1, cols);
      Block rows[kTileRows];
      for (uint32_t c = 0; c < cols; c += length, source += sourceBytes, tile += blockBytes) {
        for (uint32_t r = 0; r < kTileRows; r++) makeBlock(dtype, source + r * rowBytes, sourceDType, rows[r], bad);
        storeTile(dtype, rows, tile);
      }
      source += (kTileRows - 1) * rowBytes;
      row += kTileRows - 1;
      continue;
    }
    for (uint32_t c = 0; c < cols; c += length, source += sourceBytes, tile += blockBytes) {
      makeBlock(dtype, source, sourceDType, block, bad);
      storeTiled(dtype, block, row, tile);
    }
  }
  return bad;
}

uint32_t convertBlocks(uint8_t* out, DType dtype, const uint8_t* source, DType sourceDType, size_t count) {
  uint32_t bad = 0, length = blockCols(dtype);
  size_t sourceBytes = storageBytes(sourceDType, 1, length), blockBytes = storageBytes(dtype, 1, length);
  Block block;
  for (size_t i = 0; i < count; i += length, source += sourceBytes, out += blockBytes) {
    makeBlock(dtype, source, sourceDType, block, bad);
    if (dtype == sourceDType) __builtin_memmove(out, source, blockBytes);
    else storePlain(dtype, block, out);
  }
  return bad;
}

void widenBlocks(const uint8_t* plain, DType dtype, size_t count, float* out) {
  Block block;
  size_t blockBytes = storageBytes(dtype, 1, blockCols(dtype));
  for (size_t i = 0; i < count; i += blockCols(dtype), plain += blockBytes) {
    loadPlain(dtype, plain, block);
    widenBlock(dtype, block, out + i);
  }
}

void readTiledBlockRow(const Operand& weight, uint32_t row, float* out) {
  DType dtype = weight.dtype;
  uint32_t length = blockCols(dtype);
  size_t blockBytes = tileBlockBytes(dtype);
  const uint8_t* tile = weight.data + (size_t)(row / kTileRows) * (weight.cols / length) * blockBytes;
  Block block;
  for (uint32_t c = 0; c < weight.cols; c += length, tile += blockBytes) {
    loadTiled(dtype, row, tile, block);
    widenBlock(dtype, block, out + c);
  }
}

}  // namespace glimt
