// The part of CUDA's device language that the kernels use, for the host compiler.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>

#include "block.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __align__(n) alignas(n)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define threadIdx (::glimt::emu::current_block()->thread().index)
#define blockIdx (::glimt::emu::current_block()->block_index())
#define blockDim (::glimt::emu::current_block()->shape().block)
#define gridDim (::glimt::emu::current_block()->shape().grid)

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---- synchronisation and warp collectives ----

namespace glimt::emu {
struct Shuffle {
  uint64_t bits;
  unsigned from;
};
template <class T, class Source>
T shuffle(const char* name, unsigned mask, T value, unsigned from, std::source_location site) {
  static_assert(sizeof(T) <= 8);
  Shuffle in{0, from};
  std::memcpy(&in.bits, &value, sizeof(T));
  Block& block = *current_block();
  const uint64_t bits = block.collective<Shuffle, uint64_t>(
      name, mask, in, site, [&](const Shuffle* lanes, uint64_t* results) {
        for (unsigned lane = 0; lane < 32; lane++) {
          if (!(mask >> lane & 1)) continue;
          const unsigned source = Source::lane(lane, lanes[lane].from);
          if (!(mask >> source & 1))
            block.fail("divergent collective", std::string(name) + " reads a lane outside of its mask");
          results[lane] = lanes[source].bits;
        }
      });
  T result;
  std::memcpy(&result, &bits, sizeof(T));
  return result;
}
struct FromLane {
  static unsigned lane(unsigned, unsigned from) { return from & 31; }
};
struct FromXor {
  static unsigned lane(unsigned lane, unsigned from) { return lane ^ from; }
};
struct FromUp {
  static unsigned lane(unsigned lane, unsigned from) { return lane >= from ? lane - from : lane; }
};
struct FromDown {
  static unsigned lane(unsigned lane, unsigned from) { return lane + from < 32 ? lane + from : lane; }
};
inline unsigned ballot(const char* name, unsigned mask, int predicate, std::source_location site) {
  return current_block()->collective<int, unsigned>(name, mask, predicate, site, [&](const int* in, unsigned* out) {
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; lane++)
      if ((mask >> lane & 1) && in[lane]) votes |= 1u << lane;
    for (unsigned lane = 0; lane < 32; lane++) out[lane] = votes;
  });
}
}  // namespace glimt::emu

#define GLIMT_SITE std::source_location site = std::source_location::current()
inline void __syncthreads(GLIMT_SITE) { glimt::emu::current_block()->barrier(site); }
inline void __syncwarp(unsigned mask = 0xffffffffu, GLIMT_SITE) {
  glimt::emu::ballot("__syncwarp", mask, 0, site);
  if (mask == 0xffffffffu) glimt::emu::current_block()->thread().step++;
}
template <class T>
T __shfl_sync(unsigned mask, T value, unsigned lane, GLIMT_SITE) {
  return glimt::emu::shuffle<T, glimt::emu::FromLane>("__shfl_sync", mask, value, lane, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, unsigned lane, GLIMT_SITE) {
  return glimt::emu::shuffle<T, glimt::emu::FromXor>("__shfl_xor_sync", mask, value, lane, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned lane, GLIMT_SITE) {
  return glimt::emu::shuffle<T, glimt::emu::FromUp>("__shfl_up_sync", mask, value, lane, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned lane, GLIMT_SITE) {
  return glimt::emu::shuffle<T, glimt::emu::FromDown>("__shfl_down_sync", mask, value, lane, site);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, GLIMT_SITE) {
  return glimt::emu::ballot("__ballot_sync", mask, predicate, site);
}
inline int __any_sync(unsigned mask, int predicate, GLIMT_SITE) {
  return glimt::emu::ballot("__any_sync", mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, GLIMT_SITE) {
  return glimt::emu::ballot("__all_sync", mask, predicate, site) == mask;
}
#undef GLIMT_SITE

// ---- atomics: blocks and threads take turns, so plain operations are atomic. The access checker hears of them from here
// instead of from the compiler's instrumentation, which would take them for plain accesses. ----

#define GLIMT_ATOMIC template <class T> __attribute__((noinline, no_sanitize("thread")))
GLIMT_ATOMIC T atomicAdd(T* address, T value) {
  glimt::emu::note_atomic(address, sizeof(T));
  const T old = *address;
  *address = old + value;
  return old;
}
GLIMT_ATOMIC T atomicOr(T* address, T value) {
  glimt::emu::note_atomic(address, sizeof(T));
  const T old = *address;
  *address = old | value;
  return old;
}
GLIMT_ATOMIC T atomicMax(T* address, T value) {
  glimt::emu::note_atomic(address, sizeof(T));
  const T old = *address;
  *address = std::max(old, value);
  return old;
}
GLIMT_ATOMIC T atomicExch(T* address, T value) {
  glimt::emu::note_atomic(address, sizeof(T));
  const T old = *address;
  *address = value;
  return old;
}
GLIMT_ATOMIC T atomicCAS(T* address, T expected, T value) {
  glimt::emu::note_atomic(address, sizeof(T));
  const T old = *address;
  if (old == expected) *address = value;
  return old;
}
#undef GLIMT_ATOMIC
inline void __threadfence() { glimt::emu::note_fence(); }

// ---- arithmetic ----

template <class T>
T __ldg(const T* address) {
  return *address;
}
inline float __expf(float x) { return std::exp(x); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __fdividef(float a, float b) { return a / b; }
// Each rounds by itself: kernels are compiled without contraction to fused multiply-add.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
using std::max;
using std::min;

// ---- 16-bit floats, kept as bits ----

namespace glimt {

struct bf16 {
  uint16_t bits;
};
struct f16 {
  uint16_t bits;
};

inline float widen(bf16 x) { return __uint_as_float(static_cast<unsigned>(x.bits) << 16); }
inline bf16 to_bf16(float x) {
  const unsigned word = __float_as_uint(x);
  if (x != x) return {0x7fff};
  return {static_cast<uint16_t>((word + 0x7fff + (word >> 16 & 1)) >> 16)};
}
inline float widen(f16 x) {
  const unsigned sign = (x.bits & 0x8000u) << 16, exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -magnitude : magnitude;
}
inline f16 to_f16(float x) {
  const unsigned word = __float_as_uint(x), sign = word >> 16 & 0x8000u, magnitude = word & 0x7fffffffu;
  const auto make = [&](unsigned bits) { return f16{static_cast<uint16_t>(sign | bits)}; };
  if (magnitude > 0x7f800000u) return {0x7fff};
  if (magnitude >= 0x477ff000u) return make(0x7c00);
  if (magnitude >= 0x38800000u) {
    const unsigned rebased = magnitude - 0x38000000u;
    return make((rebased + 0xfff + (rebased >> 13 & 1)) >> 13);
  }
  // Subnormal: in units of 2^-24; adding 1.5 * 2^23 rounds to an integer, ties to even.
  const float scaled = __uint_as_float(magnitude) * 0x1p24f;
  return make(static_cast<unsigned>(std::nearbyint(scaled)));
}

namespace emu {

// Packs are moved by instructions that need their natural alignment.
inline void require_aligned(const void* address, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(address) % bytes == 0) return;
  current_block()->fail("misaligned access", "moves " + std::to_string(bytes) + " bytes at a misaligned address");
}

// ---- tensor core instructions ----

struct Fragments {
  unsigned a[4], b[2];
  float c[4];
};
struct Accumulator {
  float d[4];
};

// D = A B + C on 16x8x16 tiles. Lane l holds, with g = l / 4 and t = l % 4:
// A rows g and g + 8, columns 2t.. and 2t + 8..; B rows (k) 2t.. and 2t + 8.., column g; C rows g, g + 8, columns 2t..
template <class T>
inline Accumulator mma_m16n8k16(const Fragments& mine, std::source_location site) {
  return current_block()->collective<Fragments, Accumulator>(
      "mma.sync", 0xffffffffu, mine, site, [](const Fragments* in, Accumulator* out) {
        float a[16][16], b[8][16];
        const auto pair = [](unsigned word, float* to) {
          to[0] = widen(T{static_cast<uint16_t>(word)});
          to[1] = widen(T{static_cast<uint16_t>(word >> 16)});
        };
        for (int lane = 0; lane < 32; lane++) {
          const int g = lane / 4, t = lane % 4;
          pair(in[lane].a[0], &a[g][2 * t]);
          pair(in[lane].a[1], &a[g + 8][2 * t]);
          pair(in[lane].a[2], &a[g][2 * t + 8]);
          pair(in[lane].a[3], &a[g + 8][2 * t + 8]);
          pair(in[lane].b[0], &b[g][2 * t]);
          pair(in[lane].b[1], &b[g][2 * t + 8]);
        }
        for (int lane = 0; lane < 32; lane++) {
          const int g = lane / 4, t = lane % 4;
          for (int i = 0; i < 4; i++) {
            const float* row = a[g + (i / 2) * 8];
            const float* column = b[2 * t + i % 2];
            float sum = 0;
            for (int k = 0; k < 16; k++) sum += row[k] * column[k];
            out[lane].d[i] = in[lane].c[i] + sum;
          }
        }
      });
}

struct Matrices {
  unsigned r[4];
};

// Lane 8i + j gives the address of row j of 8x8 matrix i; lane l receives of each matrix row l / 4, columns 2 (l % 4)..,
// or, transposed, column l / 4, rows 2 (l % 4)...
template <int Count, bool Transposed>
inline Matrices ldmatrix(const void* row, std::source_location site) {
  Block& block = *current_block();
  if (reinterpret_cast<uintptr_t>(row) % 16)
    block.fail("misaligned access", "ldmatrix of a row that is not aligned to 16 bytes");
  note_read(row, 16, true);
  return block.collective<const void*, Matrices>(
      "ldmatrix", 0xffffffffu, row, site, [](const void* const* rows, Matrices* out) {
        for (int i = 0; i < Count; i++) {
          uint16_t tile[8][8];
          for (int j = 0; j < 8; j++) std::memcpy(tile[j], rows[8 * i + j], 16);
          for (int lane = 0; lane < 32; lane++) {
            const int r = lane / 4, c = 2 * (lane % 4);
            const unsigned low = Transposed ? tile[c][r] : tile[r][c];
            const unsigned high = Transposed ? tile[c + 1][r] : tile[r][c + 1];
            out[lane].r[i] = low | high << 16;
          }
        }
      });
}

}  // namespace emu
}  // namespace glimt
