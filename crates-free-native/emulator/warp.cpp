#include "warp.h"

#include <cstring>

#include "device.h"

namespace glimt::emu {

namespace {

struct Shuffle {
  uint64_t bits;
  unsigned from;
};

unsigned source_lane(ShuffleFrom kind, unsigned lane, unsigned from) {
  switch (kind) {
    case ShuffleFrom::lane:
      return from & 31;
    case ShuffleFrom::lane_xor:
      return lane ^ from;
    case ShuffleFrom::lane_minus:
      return lane >= from ? lane - from : lane;
    case ShuffleFrom::lane_plus:
      return lane + from < 32 ? lane + from : lane;
  }
  return lane;
}

}  // namespace

uint64_t shuffle_bits(const char* name, unsigned mask, uint64_t bits, ShuffleFrom kind, unsigned from,
                      std::source_location site) {
  Block& block = *current_block();
  return block.collective<Shuffle, uint64_t>(name, mask, {bits, from}, site, [&](const Lanes<Shuffle, uint64_t>& lanes) {
    for (unsigned lane = 0; lane < 32; lane++) {
      if (!(mask >> lane & 1)) continue;
      const unsigned source = source_lane(kind, lane, lanes.in(lane).from);
      if (!(mask >> source & 1))
        block.fail("divergent collective", std::string(name) + " reads a lane outside of its mask");
      lanes.out(lane) = lanes.in(source).bits;
    }
  });
}

unsigned ballot(const char* name, unsigned mask, int predicate, std::source_location site) {
  return current_block()->collective<int, unsigned>(name, mask, predicate, site, [&](const Lanes<int, unsigned>& lanes) {
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; lane++)
      if ((mask >> lane & 1) && lanes.in(lane)) votes |= 1u << lane;
    for (unsigned lane = 0; lane < 32; lane++)
      if (mask >> lane & 1) lanes.out(lane) = votes;
  });
}

void sync_warp(unsigned mask, std::source_location site) {
  ballot("__syncwarp", mask, 0, site);
  if (mask == 0xffffffffu) current_block()->thread().step++;
}

template <class T>
Accumulator mma_m16n8k16(const Fragments& mine, std::source_location site) {
  return current_block()->collective<Fragments, Accumulator>(
      "mma.sync", 0xffffffffu, mine, site, [](const Lanes<Fragments, Accumulator>& lanes) {
        float a[16][16], b[16][8], sums[16][8] = {};
        const auto low = [](unsigned word) { return widen(T{static_cast<uint16_t>(word)}); };
        const auto high = [](unsigned word) { return widen(T{static_cast<uint16_t>(word >> 16)}); };
        for (int lane = 0; lane < 32; lane++) {
          const int g = lane / 4, t = lane % 4;
          for (int i = 0; i < 4; i++) {
            float* pair = &a[g + i % 2 * 8][2 * t + i / 2 * 8];
            pair[0] = low(lanes.in(lane).a[i]);
            pair[1] = high(lanes.in(lane).a[i]);
          }
          for (int i = 0; i < 2; i++) {
            b[2 * t + i * 8][g] = low(lanes.in(lane).b[i]);
            b[2 * t + i * 8 + 1][g] = high(lanes.in(lane).b[i]);
          }
        }
        for (int row = 0; row < 16; row++)
          for (int k = 0; k < 16; k++)
            for (int column = 0; column < 8; column++) sums[row][column] += a[row][k] * b[k][column];
        for (int lane = 0; lane < 32; lane++)
          for (int i = 0; i < 4; i++)
            lanes.out(lane).d[i] = lanes.in(lane).c[i] + sums[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2];
      });
}
template Accumulator mma_m16n8k16<bf16>(const Fragments&, std::source_location);
template Accumulator mma_m16n8k16<f16>(const Fragments&, std::source_location);

Matrices ldmatrix4(const void* row, bool transposed, std::source_location site) {
  Block& block = *current_block();
  if (reinterpret_cast<uintptr_t>(row) % 16)
    block.fail("misaligned access", "ldmatrix of a row that is not aligned to 16 bytes");
  note_read(row, 16, true);
  return block.collective<const void*, Matrices>(
      "ldmatrix", 0xffffffffu, row, site, [&](const Lanes<const void*, Matrices>& lanes) {
        for (int i = 0; i < 4; i++) {
          uint16_t tile[8][8];
          for (int j = 0; j < 8; j++) std::memcpy(tile[j], lanes.in(8 * i + j), 16);
          for (int lane = 0; lane < 32; lane++) {
            const int r = lane / 4, c = 2 * (lane % 4);
            const unsigned low = transposed ? tile[c][r] : tile[r][c];
            const unsigned high = transposed ? tile[c + 1][r] : tile[r][c + 1];
            lanes.out(lane).r[i] = low | high << 16;
          }
        }
      });
}

}  // namespace glimt::emu
