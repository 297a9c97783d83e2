// The register tile of all products: some rows of x, interleaved as a panel [k][rows], against 8 rows of w, or several
// times 8, as [k][8]. Every sum is one chain over k, from first to last, so that its bits do not depend on the shape of
// the tile that it was in, nor on where k was cut.
#pragma once
#include "weights.h"

namespace glimt {

// Of a panel: 12 sums, a step of w and a value of x are the 15 registers that V8 has for vectors. Widening a step takes
// some of them.
constexpr uint32_t kPanelRows = 6, kWideningRows = 5;
// Tiles at most that meet a panel side by side.
constexpr uint32_t kMostTiles = 4;

// How rows are cut into panels: into as few as can be, of nearly the same height, since the sums of a low one wait for each
// other.
struct Panels {
  uint32_t count, height, higher;

  explicit Panels(uint32_t rows, uint32_t highest = kPanelRows) {
    count = (rows + highest - 1) / highest;
    height = count ? rows / count : 0;
    higher = rows - count * height;
  }
  // The first ones have a row more than the others.
  uint32_t rows(uint32_t panel) const { return height + (panel < higher); }
  uint32_t first(uint32_t panel) const { return panel * height + (panel < higher ? panel : higher); }
};

// y[r][apart t + c] = start[8 t + c] + the sum over k of panel[k][r] * w[t][k][c], or what y held for a start that is null. A
// row of the panel has `step` floats; the tiles of w are `tileBytes` apart.
using TileProduct = void (*)(const float* panel, size_t step, const uint8_t* w, size_t tileBytes, uint32_t k,
                             const float* start, float* y, size_t stride, size_t apart);

// That of panels of `rows` rows and `tiles` tiles of w of a type; tiles is 1 or tilesAtOnce(rows).
TileProduct tileProduct(DType dtype, uint32_t rows, uint32_t tiles);

// Tiles of w that meet a panel of `rows` rows at once: enough for eight chains of sums where they can be had, as many as
// hide the time that a multiply-add takes.
constexpr uint32_t tilesAtOnce(uint32_t rows) { return rows == 1 ? kMostTiles : rows == 2 ? 2 : 1; }

// Floats behind a panel that packing may overwrite.
constexpr uint32_t kPanelSlack = 4;

// panel [k][count] from the `count` (at most 8) rows.
void packPanel(const float* const* rows, uint32_t count, uint32_t k, float* panel);

}  // namespace glimt
