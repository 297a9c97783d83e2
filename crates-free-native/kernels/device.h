// What every kernel file includes: CUDA's device language, from nvcc or from the emulator, and the few
// wrappers that hide the difference.
#pragma once
#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

// __shared__ type name[count], uninitialised; the same for all threads of the block.
#define GLIMT_SHARED(type, name, count) __shared__ __align__(16) type name[count]
// All dynamic shared memory of the block, as a reference to a `type`.
#define GLIMT_DYNAMIC_SHARED(type, name)                       \
  extern __shared__ __align__(128) unsigned char glimt_smem[]; \
  type& name = *reinterpret_cast<type*>(glimt_smem)

namespace glimt {
using bf16 = __nv_bfloat16;
using f16 = __half;
__device__ __forceinline__ float widen(bf16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float widen(f16 x) { return __half2float(x); }
__device__ __forceinline__ bf16 to_bf16(float x) { return __float2bfloat16_rn(x); }
__device__ __forceinline__ f16 to_f16(float x) { return __float2half_rn(x); }
__device__ __forceinline__ f16 f16_of_bits(unsigned bits) { return __ushort_as_half(static_cast<unsigned short>(bits)); }
}  // namespace glimt

#else

#include "../emulator/device.h"

#define GLIMT_SHARED(type, name, count)                        \
  static const char name##_key = 0;                            \
  type* const name = static_cast<type*>(::glimt::emu::current_block()->static_shared(&name##_key, sizeof(type) * (count)))
#define GLIMT_DYNAMIC_SHARED(type, name) \
  type& name = *reinterpret_cast<type*>(::glimt::emu::current_block()->dynamic_shared())

#endif

namespace glimt {

// The first statement of every kernel. On Hopper a kernel may be put on the device while the one before it still runs
// (programmatic dependent launch): this lets the next one come, and waits until all that was launched before is done.
// Nothing that another kernel writes may be touched before.
#if defined(__CUDACC__)
__device__ __forceinline__ void start_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
#else
inline void start_kernel() { emu::current_block()->thread().started = true; }
#endif

// Asks for 128 bytes to be brought to the L2 cache. Allowed before start_kernel for memory that no kernel writes.
#if defined(__CUDACC__)
__device__ __forceinline__ void prefetch(const void* address) {
  asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
}
#else
inline void prefetch(const void*) {}
#endif

#if defined(__CUDACC__)
__device__ __forceinline__ void require_aligned(const void*, size_t) {}
#else
using emu::require_aligned;
#endif

constexpr unsigned kAllLanes = 0xffffffffu;

// Reads of any element type as float; `narrow` rounds to nearest, ties to even.
__device__ __forceinline__ float widen(float x) { return x; }
template <class T>
__device__ __forceinline__ T narrow(float x);
template <>
__device__ __forceinline__ float narrow<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ bf16 narrow<bf16>(float x) {
  return to_bf16(x);
}
template <>
__device__ __forceinline__ f16 narrow<f16>(float x) {
  return to_f16(x);
}

// `N` consecutive elements moved in one instruction; the address must be aligned to their size (at most 16 bytes).
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};
// Elements in 16 bytes.
template <class T>
constexpr int kPackSize = 16 / sizeof(T);

template <class T, int N>
__device__ __forceinline__ Pack<T, N> load_pack(const T* address) {
  require_aligned(address, sizeof(Pack<T, N>));
  return *reinterpret_cast<const Pack<T, N>*>(address);
}
template <class T, int N>
__device__ __forceinline__ void store_pack(T* address, const Pack<T, N>& pack) {
  require_aligned(address, sizeof(Pack<T, N>));
  *reinterpret_cast<Pack<T, N>*>(address) = pack;
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}
// The sum of this lane's value and those of the lanes before.
template <class T>
__device__ __forceinline__ T warp_running(T value) {
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const T before = __shfl_up_sync(kAllLanes, value, step);
    if (static_cast<int>(threadIdx.x % 32) >= step) value += before;
  }
  return value;
}
__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, step));
  return value;
}

}  // namespace glimt
