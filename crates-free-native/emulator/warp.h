// What the lanes of a warp do together: shuffles, votes and the tensor core instructions. Not in the header, so that
// each is compiled once, and without the access checker's instrumentation.
#pragma once
#include <cstdint>
#include <source_location>

namespace glimt::emu {

// Whose value a lane receives: that of the lane given, of its own number changed by it, or its own outside of the warp.
enum class ShuffleFrom { lane, lane_xor, lane_minus, lane_plus };
uint64_t shuffle_bits(const char* name, unsigned mask, uint64_t bits, ShuffleFrom kind, unsigned from,
                      std::source_location site);
unsigned ballot(const char* name, unsigned mask, int predicate, std::source_location site);
void sync_warp(unsigned mask, std::source_location site);

struct Fragments {
  unsigned a[4], b[2];
  float c[4];
};
struct Accumulator {
  float d[4];
};

// D = A B + C on 16x8x16 tiles of T, bf16 or f16. Lane l holds, with g = l / 4 and t = l % 4:
// A rows g and g + 8, columns 2t.. and 2t + 8..; B rows (k) 2t.. and 2t + 8.., column g; C rows g, g + 8, columns 2t..
template <class T>
Accumulator mma_m16n8k16(const Fragments& mine, std::source_location site);

struct Matrices {
  unsigned r[4];
};

// Lane 8i + j gives the address of row j of 8x8 matrix i; lane l receives of each matrix row l / 4, columns 2 (l % 4)..,
// or, transposed, column l / 4, rows 2 (l % 4)...
Matrices ldmatrix4(const void* row, bool transposed, std::source_location site);

}  // namespace glimt::emu
