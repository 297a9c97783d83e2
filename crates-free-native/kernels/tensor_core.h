// mma.sync, ldmatrix and cp.async: inline PTX for the GPU, the emulator's functions for the CPU.
#pragma once
#include "device.h"

namespace glimt {

#if defined(__CUDACC__)

__device__ __forceinline__ unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

// d += a b for a 16x16 a (row major fragments), a 16x8 b (column major fragments); T is bf16 or f16.
template <class T>
__device__ __forceinline__ void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1);
template <>
__device__ __forceinline__ void mma<bf16>(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <>
__device__ __forceinline__ void mma<f16>(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8x8 matrices of 16-bit elements; lane 8i + j gives the address of row j of matrix i (aligned to 16 bytes).
__device__ __forceinline__ void ldmatrix4(unsigned (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix4_transposed(unsigned (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}

// Starts a copy of 16 bytes from global to shared memory; zeros instead when not `valid` (nothing is read then).
__device__ __forceinline__ void cp_async16(void* to, const void* from, bool valid) {
  const int read = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(read)
               : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `Pending` of this thread's groups are under way.
template <int Pending>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

template <class T>
__device__ __forceinline__ unsigned pack_pair(float low, float high);
template <>
__device__ __forceinline__ unsigned pack_pair<bf16>(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&pair);
}
template <>
__device__ __forceinline__ unsigned pack_pair<f16>(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const unsigned*>(&pair);
}

#else

template <class T>
inline void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1,
                std::source_location site = std::source_location::current()) {
  emu::Fragments in{{a[0], a[1], a[2], a[3]}, {b0, b1}, {d[0], d[1], d[2], d[3]}};
  const emu::Accumulator out = emu::mma_m16n8k16<T>(in, site);
  for (int i = 0; i < 4; i++) d[i] = out.d[i];
}
inline void ldmatrix4(unsigned (&r)[4], const void* row, std::source_location site = std::source_location::current()) {
  const emu::Matrices out = emu::ldmatrix4(row, false, site);
  for (int i = 0; i < 4; i++) r[i] = out.r[i];
}
inline void ldmatrix4_transposed(unsigned (&r)[4], const void* row,
                                 std::source_location site = std::source_location::current()) {
  const emu::Matrices out = emu::ldmatrix4(row, true, site);
  for (int i = 0; i < 4; i++) r[i] = out.r[i];
}
inline void cp_async16(void* to, const void* from, bool valid) {
  emu::current_block()->async_copy(to, from, 16, valid ? 16 : 0);
}
inline void cp_async_commit() { emu::current_block()->async_commit(); }
template <int Pending>
inline void cp_async_wait() {
  emu::current_block()->async_wait(Pending);
}
template <class T>
inline unsigned pack_pair(float low, float high) {
  return narrow<T>(low).bits | static_cast<unsigned>(narrow<T>(high).bits) << 16;
}

#endif

}  // namespace glimt
