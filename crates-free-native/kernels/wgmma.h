// wgmma of Hopper (sm_90a): a warpgroup (four warps, 128 threads) multiplies matrices that lie in shared memory while it
// goes on. Inline PTX for the GPU, the emulator's functions for the CPU. Who uses it:
//   writes the matrices (cp.async and its wait, or stores); fence_async_proxy(); a barrier;
//   pin(registers); wgmma_fence(); wgmma(...) any number of times; wgmma_commit();
//   wgmma_wait<groups that may go on>(); pin(sums).
// Until its wgmma_wait nobody may write what a wgmma reads, nor touch its sums. All 128 threads do the same.
//
// A matrix is a stack of rows of 64 elements of k (128 bytes; wgmma takes 16 of them). Eight rows are an atom of 1024
// bytes, aligned to 1024, in which chunk c (16 bytes) of row r lies at chunk c ^ r: the 128-byte swizzle.
#pragma once
#include <type_traits>

#include "tensor_core.h"
#if !defined(__CUDACC__)
#include "../emulator/wgmma.h"
#endif

// Where these instructions exist: sm_90a, not the PTX that is to run on later devices.
#if !defined(__CUDA_ARCH__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define GLIMT_WGMMA 1
#else
#define GLIMT_WGMMA 0
#endif

namespace glimt {

constexpr int kWarpgroup = 128;
// Of a row in shared memory; bytes in an atom of eight rows.
constexpr int kWgmmaDepth = 64, kWgmmaAtom = 1024;

// Where element `chunk` * 8 of row `row` lies, in elements from the first atom.
__device__ __forceinline__ int wgmma_swizzled(int row, int chunk) {
  return row * kWgmmaDepth + ((chunk ^ (row % 8)) * 8);
}

#if !defined(__CUDACC__)
using emu::shared_address;
#endif

// The first aligned atom in dynamic shared memory, of which kWgmmaAtom more bytes must be there.
__device__ __forceinline__ unsigned char* wgmma_atoms(unsigned char* memory) {
  return memory + (kWgmmaAtom - shared_address(memory) % kWgmmaAtom) % kWgmmaAtom;
}

// The matrix whose first row begins at `rows`, atoms following each other. Bits 0-13: address / 16; 16-29: unused with a
// swizzle, 1; 32-45: bytes between atoms / 16; 62-63: 1, the 128-byte swizzle.
__device__ __forceinline__ uint64_t wgmma_matrix(const void* rows) {
  return (shared_address(rows) & 0x3ffffu) >> 4 | uint64_t{1} << 16 | uint64_t{kWgmmaAtom / 16} << 32 |
         uint64_t{1} << 62;
}
// The same rows from element 16 `step` on: the swizzle goes by address bits, so the start alone moves.
__device__ __forceinline__ uint64_t wgmma_step(uint64_t matrix, int step) { return matrix + step * 2; }

// The same memory as columns: rows are 16 steps of k, elements of the rows are the columns, 64 of them and the next 64
// `next` bytes further.
__device__ __forceinline__ uint64_t wgmma_columns(const void* rows, int next) {
  return wgmma_matrix(rows) + (static_cast<uint64_t>(next / 16 - 1) << 16);
}

#if defined(__CUDACC__)

// Makes what this thread wrote to shared memory visible to wgmma.
__device__ __forceinline__ void fence_async_proxy() {
#if GLIMT_WGMMA
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}
// Before the first wgmma, and between other uses of its registers and the next.
__device__ __forceinline__ void wgmma_fence() {
#if GLIMT_WGMMA
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void wgmma_commit() {
#if GLIMT_WGMMA
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// Waits until at most `Pending` of the warpgroup's groups are under way.
template <int Pending>
__device__ __forceinline__ void wgmma_wait() {
#if GLIMT_WGMMA
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
#endif
}

// The compiler does not know which registers a fence or a wait is about: their other uses stay on this side of here.
template <int N>
__device__ __forceinline__ void pin(float (&registers)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(registers[i])::"memory");
}
template <int N>
__device__ __forceinline__ void pin(unsigned (&fragments)[N][4]) {
#pragma unroll
  for (int i = 0; i < N * 4; i++) asm volatile("" : "+r"(fragments[i / 4][i % 4])::"memory");
}
// Whatever led to `value`, which is never negative, is computed here: ptxas moves a wait in front of all that it can, but
// not in front of a branch (which all lanes must take alike, or it waits after each wgmma).
__device__ __forceinline__ void settle(float value) {
  if (__any_sync(kAllLanes, value < 0)) __trap();
}

#if GLIMT_WGMMA
#define GLIMT_SUMS4(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define GLIMT_SUMS16(i) GLIMT_SUMS4(i), GLIMT_SUMS4(i + 4), GLIMT_SUMS4(i + 8), GLIMT_SUMS4(i + 12)
#define GLIMT_SUMS32(i) GLIMT_SUMS16(i), GLIMT_SUMS16(i + 16)
#define GLIMT_SUMS64(i) GLIMT_SUMS32(i), GLIMT_SUMS32(i + 32)
#define GLIMT_REGISTERS32                                              \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15"              \
  ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define GLIMT_REGISTERS64                                              \
  GLIMT_REGISTERS32                                                    \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47"   \
  ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define GLIMT_REGISTERS128                                                             \
  GLIMT_REGISTERS64                                                                    \
  ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"                   \
  ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"                   \
  ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111"       \
  ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
// `how`: whether sums are added to, that neither operand is negated, which are transposed. `inputs`: MATRICES, FRAGMENT.
#define GLIMT_MATRICES "l"(a), "l"(b)
#define GLIMT_FRAGMENT "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b)
#define GLIMT_WGMMA_OF(type, shape, registers, operands, how, inputs, ...)                                          \
  asm volatile("wgmma.mma_async.sync.aligned." shape ".f32." type "." type " {" registers "}, " operands ", " how ";" \
               : __VA_ARGS__                                                                                        \
               : GLIMT_##inputs)
#define GLIMT_WGMMA_OF_T(...)               \
  if constexpr (std::is_same_v<T, bf16>)    \
    GLIMT_WGMMA_OF("bf16", __VA_ARGS__);    \
  else                                      \
    GLIMT_WGMMA_OF("f16", __VA_ARGS__)
#endif

// sums += a bᵀ for 64 rows of a and N rows of b, 16 of k; Fresh: sums = a bᵀ. Thread t of the warpgroup holds, with
// g = t % 32 / 4 and q = t % 4, in sums[4 j + i] the element of row t / 32 * 16 + i / 2 * 8 + g, column
// 8 j + 2 q + i % 2.
template <class T, int N, bool Fresh = false>
__device__ __forceinline__ void wgmma(float (&sums)[N / 2], uint64_t a, uint64_t b) {
  static_assert(N == 64 || N == 128 || N == 256);
  static_assert(N == 128 || !Fresh);
#if GLIMT_WGMMA
  if constexpr (N == 64) {
    GLIMT_WGMMA_OF_T("m64n64k16", GLIMT_REGISTERS32, "%32, %33", "1, 1, 1, 0, 0", MATRICES, GLIMT_SUMS32(0));
  } else if constexpr (N == 128 && Fresh) {
    GLIMT_WGMMA_OF_T("m64n128k16", GLIMT_REGISTERS64, "%64, %65", "0, 1, 1, 0, 0", MATRICES, GLIMT_SUMS64(0));
  } else if constexpr (N == 128) {
    GLIMT_WGMMA_OF_T("m64n128k16", GLIMT_REGISTERS64, "%64, %65", "1, 1, 1, 0, 0", MATRICES, GLIMT_SUMS64(0));
  } else {
    GLIMT_WGMMA_OF_T("m64n256k16", GLIMT_REGISTERS128, "%128, %129", "1, 1, 1, 0, 0", MATRICES, GLIMT_SUMS64(0),
                     GLIMT_SUMS64(64));
  }
#endif
}

// sums += a b, a in registers: pairs of columns (of k) 2 q and 8 + 2 q of the thread's two rows, laid out as mma's. b is
// wgmma_columns. Until the wait a belongs to the instruction too.
template <class T, int N>
__device__ __forceinline__ void wgmma_fragment(float (&sums)[N / 2], unsigned (&a)[4], uint64_t b) {
  static_assert(N == 64 || N == 128);
#if GLIMT_WGMMA
  if constexpr (N == 64) {
    GLIMT_WGMMA_OF_T("m64n64k16", GLIMT_REGISTERS32, "{%32,%33,%34,%35}, %36", "1, 1, 1, 1", FRAGMENT, GLIMT_SUMS32(0));
  } else {
    GLIMT_WGMMA_OF_T("m64n128k16", GLIMT_REGISTERS64, "{%64,%65,%66,%67}, %68", "1, 1, 1, 1", FRAGMENT,
                     GLIMT_SUMS64(0));
  }
#endif
}

#else

template <class Registers>
inline void pin(Registers&) {}
inline void settle(float) {}
inline void fence_async_proxy() { emu::fence_async_proxy(); }
inline void wgmma_fence(std::source_location site = std::source_location::current()) { emu::wgmma_fence(site); }
inline void wgmma_commit(std::source_location site = std::source_location::current()) { emu::wgmma_commit(site); }
template <int Pending>
inline void wgmma_wait(std::source_location site = std::source_location::current()) {
  emu::wgmma_wait(Pending, site);
}
template <class T>
inline float widen_bits(uint16_t bits) {
  return widen(T{bits});
}
template <class T, int N, bool Fresh = false>
inline void wgmma(float (&sums)[N / 2], uint64_t a, uint64_t b,
                  std::source_location site = std::source_location::current()) {
  emu::wgmma({sums, N, Fresh, false, a, b, nullptr, widen_bits<T>}, site);
}
template <class T, int N>
inline void wgmma_fragment(float (&sums)[N / 2], unsigned (&a)[4], uint64_t b,
                           std::source_location site = std::source_location::current()) {
  emu::wgmma({sums, N, false, true, 0, b, a, widen_bits<T>}, site);
}

#endif

}  // namespace glimt
