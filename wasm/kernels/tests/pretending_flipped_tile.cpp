// In place of flipped_tile.cpp in a module of tests: the same with pretended instructions.
#include "pretended_dot.h"

#define wasm_i16x8_relaxed_dot_i8x16_i7x16 pretendedHalves
#include "flipped_tile.cpp"
