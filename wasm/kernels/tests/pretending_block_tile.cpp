// In place of block_tile.cpp in a module of tests: the same with pretended instructions.
#include "pretended_dot.h"

#define wasm_i16x8_relaxed_dot_i8x16_i7x16 pretendedHalves
#define wasm_i32x4_relaxed_dot_i8x16_i7x16_add pretendedDot
#include "block_tile.cpp"
