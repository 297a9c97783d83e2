// In place of ceilings.cpp in a module of benchmarks: its loops, and exact products of 8 bits that kernels do not use here, as
// whole tiles too, to show what they would give. Operands that stand still leave out some loads.
#include "../ceilings.cpp"
#include "../flipped_tile.h"

#ifdef __wasm_relaxed_simd__
namespace {

// Magnitudes of x, which are of 7 bits, by w flipped where x is negative, ~w = -w - 1: sums of x make up for the ones. What flips
// is x itself, since it has to be another in each row: the compiler would flip w once for all.
struct MovedSigns {
  static constexpr uint32_t kCols = 4;
  static constexpr bool kWide = true;

  static v128_t first(v128_t x, v128_t w) {
    v128_t flipped = wasm_v128_xor(w, x);
    return wasm_i32x4_dot_i16x8(wasm_i16x8_relaxed_dot_i8x16_i7x16(flipped, x), wasm_v128_load(kTile.ones));
  }
  static v128_t add(v128_t x, v128_t w, v128_t sum) { return wasm_i32x4_add(sum, first(x, w)); }
};

// (x0 + w1) (x1 + w0) + (x2 + w3) (x3 + w2) for four columns: half the products of words, where the sums of x0 x1 + x2 x3 and
// of w0 w1 + w2 w3 are known. Three rows, which is what there are registers for.
float productOfSums(uint32_t blocks, int32_t integers) {
  constexpr uint32_t kPairRows = 3;
  ProductOperands operands = {}, *o = &operands;
  for (uint32_t half = 0; half < kHalves; half++) {
    store(o->scales[half], splat(0x1p-60f)), wasm_v128_store(o->w[half], wasm_i32x4_splat(integers));
  }
  for (uint32_t r = 0; r < kRows; r++) o->rowScales[r] = 0x1p-20f, o->x[r] = integers + (int32_t)r;
  for (; blocks; blocks--) {
    v128_t sums[kPairRows][kHalves];
    forget(o);
#pragma unroll
    for (uint32_t r = 0; r < kPairRows; r++) sums[r][0] = sums[r][1] = wasm_v128_load32_splat(o->x + r);
#pragma nounroll
    for (uint32_t i = 0; i < kBlockCols / 4; i++) {
      forget(o);
      v128_t w[kHalves][2];
#pragma unroll
      for (uint32_t half = 0; half < kHalves; half++) {
        w[half][0] = wasm_v128_load(o->w[half]), w[half][1] = wasm_v128_load(o->scales[half]);
      }
#pragma unroll
      for (uint32_t r = 0; r < kPairRows; r++) {
        v128_t some = wasm_v128_load32_splat(o->x + r), others = wasm_v128_load32_splat(o->rowScales + r);
#pragma unroll
        for (uint32_t half = 0; half < kHalves; half++) {
          v128_t a = wasm_i16x8_add(some, w[half][1]), b = wasm_i16x8_add(others, w[half][0]);
          sums[r][half] = wasm_i32x4_add(sums[r][half], wasm_i32x4_dot_i16x8(a, b));
        }
      }
    }
    forget(o);
#pragma unroll
    for (uint32_t r = 0; r < kPairRows; r++) {
#pragma unroll
      for (uint32_t half = 0; half < kHalves; half++) {
        v128_t total = wasm_i32x4_add(sums[r][half], wasm_v128_load(o->w[half]));
        f32x4 scale = mul(load(o->scales[half]), splat(o->rowScales + r));
        store(o->y[r][half], add(load(o->y[r][half]), mul(wasm_f32x4_convert_i32x4(total), scale)));
      }
    }
  }
  forget(o);
  return sumLanes(load(o->y[0][0]));
}

constexpr uint32_t kTableRows = 8, kTableCols = kTableBlocks * kBlockCols;

struct TableOperands {
  alignas(16) uint8_t table[kTableBlocks * tableBlockBytes(kTableTiles)];
  uint8_t rows[kTableRows * kTableBlocks * panelPieceBytes(BlockScheme::flippedPairs)];
  float sums[kTableRows * kTableTiles * kTileRows];
};

}  // namespace

extern "C" {

// 2560 operations an iteration.
EMSCRIPTEN_KEEPALIVE float glimt_limit_moved_signs(uint32_t iterations, int32_t factor) {
  return productBlocks<MovedSigns>(iterations, factor);
}

// The same by words, as the variant without relaxed SIMD has it.
EMSCRIPTEN_KEEPALIVE float glimt_limit_words(uint32_t iterations, int32_t factor) {
  return productBlocks<Words>(iterations, factor);
}

// Whether q8 is multiplied so here.
EMSCRIPTEN_KEEPALIVE bool glimt_limit_has_table() { return blockScheme(DType::q8) == BlockScheme::flippedPairs; }

// What many rows meet where signs are moved before (flipped_tile.h), as linears run it: 65536 operations an iteration.
EMSCRIPTEN_KEEPALIVE float glimt_limit_table(uint32_t iterations) {
  static TableOperands operands;
  constexpr size_t kRowBytes = kTableBlocks * panelPieceBytes(BlockScheme::flippedPairs);
  uint32_t random = 1;
  for (uint32_t r = 0; r < kTableRows; r++) {
    float row[kTableCols];
    for (float& value : row) random = random * 1664525 + 1013904223, value = (float)(int32_t)random;
    const float* rows = row;
    quantisePanel(&rows, 1, kTableCols, DType::q8, operands.rows + r * kRowBytes);
  }
  TableProduct product = tableProduct(kTableTiles);
  for (; iterations; iterations--) product(operands.rows, kRowBytes, kTableRows, operands.table, kTableBlocks, operands.sums);
  return operands.sums[0];
}

// 1536 operations an iteration.
EMSCRIPTEN_KEEPALIVE float glimt_limit_product_of_sums(uint32_t iterations, int32_t factor) {
  return productOfSums(iterations, factor);
}

}
#endif
