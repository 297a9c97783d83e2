// Constants of block_tile.cpp in memory of another translation unit, as simd.h says of Constant.
#pragma once
#include <cstdint>

namespace glimt {

struct TileConstants {
  alignas(16) uint8_t nibbles[16];
  alignas(16) uint16_t evenBytes[8], evenNibbles[8], ones[8];
  alignas(16) uint8_t signs[16];
};
extern const TileConstants kTile;

// What brings bytes of q8 to their sign, with the second of each of the first pairs of columns flipped, of the second ones, of
// both or none. Each lies as far from the next as w does in a table (flipped_tile.h).
struct PairFlips {
  struct {
    alignas(32) uint8_t bytes[16];
  } of[4];
};
extern const PairFlips kPairFlips;

// A number below 64 in every byte, and in every even one.
struct Mask {
  alignas(16) uint8_t bytes[16];
  alignas(16) uint16_t words[8];
};
struct Masks {
  Mask of[64];
};
extern const Masks kMasks;

}  // namespace glimt
