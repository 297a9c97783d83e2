#include "block_constants.h"

namespace glimt {
namespace {

constexpr Masks allMasks() {
  Masks masks = {};
  for (uint32_t mask = 0; mask < 64; mask++) {
    for (uint8_t& byte : masks.of[mask].bytes) byte = (uint8_t)mask;
    for (uint16_t& word : masks.of[mask].words) word = (uint16_t)mask;
  }
  return masks;
}

}  // namespace

constinit const Masks kMasks = allMasks();

constexpr PairFlips allFlips() {
  PairFlips flips = {};
  for (uint32_t flip = 0; flip < 4; flip++) {
    for (uint32_t i = 0; i < 16; i++) {
      bool isFlipped = i % 2 && (i % 4 == 1 ? flip & 1 : flip & 2);
      flips.of[flip].bytes[i] = isFlipped ? 0x7f : 0x80;
    }
  }
  return flips;
}
constinit const PairFlips kPairFlips = allFlips();

const TileConstants kTile = {
    {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15},
    {255, 255, 255, 255, 255, 255, 255, 255},
    {15, 15, 15, 15, 15, 15, 15, 15},
    {1, 1, 1, 1, 1, 1, 1, 1},
    {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128},
};

}  // namespace glimt
