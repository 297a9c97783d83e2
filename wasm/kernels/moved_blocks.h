// Whole tiles of blocks that are stored as they come: only moved, eight rows at a time.
#pragma once
#include "weights.h"

namespace glimt {

constexpr bool isMoved(DType dtype, DType sourceDType) {
  return dtype == sourceDType && (dtype == DType::q8 || dtype == DType::q4);
}

// From eight rows in layout plain. Returns how many elements have a scale that is infinite or NaN.
uint32_t moveTile(uint8_t* tile, DType dtype, uint32_t cols, const uint8_t* source);

}  // namespace glimt
