// Activations that meet weights in blocks: blocks of 32 columns too, of 8-bit integers that share a scale in f32, so that
// all products of two blocks are one exact sum of integers. src/backends/reference/block-product.ts has the same steps.
#pragma once
#include "weights.h"

namespace glimt {

// How a weight's blocks meet activations, by its format and the host (byte_dot.h). All give the same sums.
enum class BlockScheme : uint32_t {
  // 8 bits by 8 bits, four columns an instruction: the weight's bytes count as 0..255 or as -128..127. Where they are of at
  // most 7 bits, every host with the instruction can.
  unsignedBytes,
  signedBytes,
  // Activations by at most 6 bits, in sums of 16 bits, which hold those of some steps.
  halves,
  // Both widened to 16 bits, two columns an instruction.
  words,
  // 8 bits by magnitudes of 7 bits, to which weights lend signs (flipped_tile.h).
  flippedPairs,
};

BlockScheme blockScheme(DType weights);

// Rows are kept in panels of a few, block after block: for each row its scale (f32); then for each row what its integer sums
// begin with, which makes up for weights that are stored with something added, or for weights with minima the sum of its
// integers times its scale (f32), or for weights with two scales a block the sums of its integers by halves (16 bits each);
// then in steps of four columns of each row four bytes, or eight where they are words: columns 0 and 2, and in the next step
// columns 1 and 3. For flippedPairs the steps of a row are magnitudes and the factors of pairs, 16 bits each, and before all
// steps are their flips, a byte a step: those of the first four steps of each row, then those of the others.
constexpr size_t panelPieceBytes(BlockScheme scheme) {
  constexpr size_t kNumbers = 2 * sizeof(float);
  switch (scheme) {
    case BlockScheme::words: return kNumbers + 2 * kBlockCols;
    case BlockScheme::flippedPairs: return kNumbers + kBlockCols / 4 + 2 * kBlockCols;
    default: return kNumbers + kBlockCols;
  }
}

// Of `cols` columns of a row that meets weights of a format.
inline uint64_t blockRowBytes(DType weights, uint32_t cols) {
  return (uint64_t)(cols / kBlockCols) * panelPieceBytes(blockScheme(weights));
}

// One panel from `count` rows of x. What is not finite makes its block's scale so.
void quantisePanel(const float* const* rows, uint32_t count, uint32_t cols, DType weights, uint8_t* panel);

// One panel of `count` rows from panels of one row each.
void joinPanel(const uint8_t* const* rows, uint32_t count, uint32_t cols, DType weights, uint8_t* panel);

}  // namespace glimt
