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

const TileConstants kTile = {
    {15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15},
    {255, 255, 255, 255, 255, 255, 255, 255},
    {15, 15, 15, 15, 15, 15, 15, 15},
    {1, 1, 1, 1, 1, 1, 1, 1},
    {128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128},
};

}  // namespace glimt
