// The part of CUDA's device language that the kernels use, for the host compiler.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>

#include "block.h"
#include "glimt_float.h"
#include "warp.h"

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

#define threadIdx (::glimt::emu::thread_index())
#define blockIdx (::glimt::emu::block_index())
#define blockDim (::glimt::emu::block_shape())
#define gridDim (::glimt::emu::grid_shape())

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
template <class T>
T shuffle(const char* name, unsigned mask, T value, ShuffleFrom kind, unsigned from, std::source_location site) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = shuffle_bits(name, mask, bits, kind, from, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
}  // namespace glimt::emu

#define GLIMT_SITE std::source_location site = std::source_location::current()
inline void __syncthreads(GLIMT_SITE) { glimt::emu::current_block()->barrier(site); }
inline void __syncwarp(unsigned mask = 0xffffffffu, GLIMT_SITE) { glimt::emu::sync_warp(mask, site); }
template <class T>
T __shfl_sync(unsigned mask, T value, unsigned lane, GLIMT_SITE) {
  return glimt::emu::shuffle("__shfl_sync", mask, value, glimt::emu::ShuffleFrom::lane, lane, site);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, unsigned lane, GLIMT_SITE) {
  return glimt::emu::shuffle("__shfl_xor_sync", mask, value, glimt::emu::ShuffleFrom::lane_xor, lane, site);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned lane, GLIMT_SITE) {
  return glimt::emu::shuffle("__shfl_up_sync", mask, value, glimt::emu::ShuffleFrom::lane_minus, lane, site);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned lane, GLIMT_SITE) {
  return glimt::emu::shuffle("__shfl_down_sync", mask, value, glimt::emu::ShuffleFrom::lane_plus, lane, site);
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
// Byte i is that of `low` (0..3) or `high` (4..7) which half byte i of `selector` names.
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
  const uint64_t bytes = uint64_t{high} << 32 | low;
  unsigned result = 0;
  for (int i = 0; i < 4; i++) result |= static_cast<unsigned>(bytes >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
  return result;
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

// A NaN becomes the one that the device's conversions give.
inline float widen(bf16 x) { return widenBf16(x.bits); }
inline bf16 to_bf16(float x) { return {x != x ? uint16_t{0x7fff} : narrowBf16(x)}; }
inline float widen(f16 x) { return widenF16(x.bits); }
inline f16 f16_of_bits(unsigned bits) { return {static_cast<uint16_t>(bits)}; }
inline f16 to_f16(float x) { return {x != x ? uint16_t{0x7fff} : narrowF16(x)}; }

namespace emu {

// Packs are moved by instructions that need their natural alignment.
inline void require_aligned(const void* address, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(address) % bytes == 0) return;
  current_block()->fail("misaligned access", "moves " + std::to_string(bytes) + " bytes at a misaligned address");
}

}  // namespace emu
}  // namespace glimt
