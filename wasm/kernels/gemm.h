// Matrix products against weights in tiles.
#pragma once
#include "kernel.h"
#include "simd.h"

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

// Rows of x up to which the product is bound by reading the weights (gemv.cpp).
constexpr uint32_t kGemvRows = 4;
// Rows of x that are packed together (gemm.cpp).
constexpr uint32_t kBlockRows = 96;

// Bytes of memory `multiply` needs.
size_t multiplyScratch();
// y = x wᵀ + bias. Any m; blocks of kBlockRows rows cost least. An element's bits depend on m, but not on which rows of w
// take part.
void multiply(const Product& product, uint8_t* scratch);

// Columns of y that a part should have, whose m rows all belong to it, when there are n columns and `times` parts of
// each range: whole tiles, few enough for slices and for all workers, not so few that packing x shows.
uint32_t columnsOfPart(const Call& call, uint32_t m, uint32_t n, uint32_t k, uint32_t times);

// The two routines behind it.
void gemm(const Product& product, float* scratch);
void gemv(const Product& product);

// A register tile: 4 rows of splatted values times 8 lanes.
struct Tile {
  f32x4 c00, c01, c10, c11, c20, c21, c30, c31;
};

inline Tile zeroTile() {
  f32x4 z = zero();
  return {z, z, z, z, z, z, z, z};
}

// tile[i][j] += sum over k of a[k][i] * w[k][j], a [k][4] and w [k][8] contiguous.
inline void accumulate(Tile& tile, const float* a, const float* w, uint32_t k) {
  f32x4 c00 = tile.c00, c01 = tile.c01, c10 = tile.c10, c11 = tile.c11;
  f32x4 c20 = tile.c20, c21 = tile.c21, c30 = tile.c30, c31 = tile.c31;
  for (; k; k--, a += 4, w += 8) {
    f32x4 w0 = load(w), w1 = load(w + 4);
    f32x4 x = splat(a);
    c00 = madd(x, w0, c00);
    c01 = madd(x, w1, c01);
    x = splat(a + 1);
    c10 = madd(x, w0, c10);
    c11 = madd(x, w1, c11);
    x = splat(a + 2);
    c20 = madd(x, w0, c20);
    c21 = madd(x, w1, c21);
    x = splat(a + 3);
    c30 = madd(x, w0, c30);
    c31 = madd(x, w1, c31);
  }
  tile = {c00, c01, c10, c11, c20, c21, c30, c31};
}

inline void loadTile(Tile& t, const float* y, size_t stride) {
  t.c00 = load(y), t.c01 = load(y + 4), y += stride;
  t.c10 = load(y), t.c11 = load(y + 4), y += stride;
  t.c20 = load(y), t.c21 = load(y + 4), y += stride;
  t.c30 = load(y), t.c31 = load(y + 4);
}

inline void storeTile(const Tile& t, float* y, size_t stride) {
  store(y, t.c00), store(y + 4, t.c01), y += stride;
  store(y, t.c10), store(y + 4, t.c11), y += stride;
  store(y, t.c20), store(y + 4, t.c21), y += stride;
  store(y, t.c30), store(y + 4, t.c31);
}

// Four rows of k values, interleaved: out [k][4].
void interleave4(const float* a, const float* b, const float* c, const float* d, uint32_t k, float* out);

}  // namespace glimt
