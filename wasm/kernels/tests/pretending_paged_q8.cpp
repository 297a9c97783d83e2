// In place of paged_q8.cpp in a module of tests: the same with pretended instructions.
#include "pretended_dot.h"

#define wasm_i32x4_relaxed_dot_i8x16_i7x16_add pretendedDot
#include "paged_q8.cpp"
