// Broken kernels around wgmma, one for each class of bug; what is right about them is `right_wgmma`.
#pragma once
#include "kernels/wgmma.h"

namespace glimt {

// 64 rows of a, then 64 of b, 64 elements of k; kWgmmaAtom bytes more for the alignment.
constexpr size_t kWgmmaTestBytes = 2 * 64 * 64 * sizeof(bf16) + kWgmmaAtom;

inline bf16* wgmma_operands() {
  GLIMT_DYNAMIC_SHARED(unsigned char, memory);
  return reinterpret_cast<bf16*>(wgmma_atoms(&memory));
}

// Row r of both is e_r: a bᵀ = 1 on the diagonal. Each thread writes one row.
inline void write_operands(bf16* a) {
  const int row = threadIdx.x;
  for (int k = 0; k < 64; k++) a[wgmma_swizzled(row, k / 8) + k % 8] = to_bf16(k == row % 64 ? 1 : 0);
}

inline bf16* ready_operands() {
  bf16* a = wgmma_operands();
  write_operands(a);
  fence_async_proxy();
  __syncthreads();
  return a;
}

inline void multiply_operands(float (&sums)[32], const bf16* a, uint64_t change_b = 0) {
  for (int step = 0; step < 4; step++)
    wgmma<bf16, 64>(sums, wgmma_step(wgmma_matrix(a), step), wgmma_step(wgmma_matrix(a + 64 * 64) ^ change_b, step));
}

// The diagonal: thread t has element (row, column) with row % 8 = t % 32 / 4, in eight columns of which one is the row's.
inline void write_diagonal(float* data, const float (&sums)[32]) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int i = 0; i < 32; i++) {
    const int row = warp * 16 + i % 4 / 2 * 8 + lane / 4, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    if (row == column) data[row] = sums[i];
  }
}

__global__ void right_wgmma(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

__global__ void wgmma_without_wait(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  write_diagonal(data, sums);
  wgmma_wait<0>();
}

__global__ void wgmma_waits_for_too_few(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  for (int round = 0; round < 2; round++) {
    wgmma_fence();
    multiply_operands(sums, a);
    wgmma_commit();
  }
  wgmma_wait<1>();
  write_diagonal(data, sums);
  wgmma_wait<0>();
}

__global__ void wgmma_sums_overwritten(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  sums[7] = 0;
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

__global__ void wgmma_without_commit(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_wait<0>();
  data[threadIdx.x % 64] = 0;
}

__global__ void wgmma_without_fence(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  multiply_operands(sums, a);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

__global__ void wgmma_fenced_once(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  for (int round = 0; round < 2; round++) {
    multiply_operands(sums, a);
    wgmma_commit();
    wgmma_wait<0>();
    for (float& sum : sums) sum *= 0.5f;
  }
  write_diagonal(data, sums);
}

__global__ void wgmma_without_proxy_fence(float* data) {
  start_kernel();
  bf16* a = wgmma_operands();
  write_operands(a);
  __syncthreads();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

__global__ void proxy_fence_behind_barrier(float* data) {
  start_kernel();
  bf16* a = wgmma_operands();
  write_operands(a);
  __syncthreads();
  fence_async_proxy();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

// A fence before the copy has arrived is none.
__global__ void proxy_fence_before_wait(float* data) {
  start_kernel();
  bf16* a = wgmma_operands();
  for (int chunk = 0; chunk < 8; chunk++) cp_async16(a + wgmma_swizzled(threadIdx.x, chunk), data, true);
  cp_async_commit();
  fence_async_proxy();
  cp_async_wait<0>();
  __syncthreads();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

__global__ void wgmma_before_barrier(float* data) {
  start_kernel();
  bf16* a = wgmma_operands();
  write_operands(a);
  fence_async_proxy();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

__global__ void wgmma_before_cp_async(float* data) {
  start_kernel();
  bf16* a = wgmma_operands();
  for (int chunk = 0; chunk < 8; chunk++) cp_async16(a + wgmma_swizzled(threadIdx.x, chunk), data, true);
  cp_async_commit();
  fence_async_proxy();
  __syncthreads();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
  cp_async_wait<0>();
}

__global__ void stage_refilled_too_early(float* data) {
  start_kernel();
  bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  a[wgmma_swizzled(threadIdx.x, 0)] = to_bf16(5);
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

__global__ void stage_copied_too_early(float* data) {
  start_kernel();
  bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  cp_async16(a + wgmma_swizzled(threadIdx.x, 0), data, true);
  cp_async_commit();
  wgmma_wait<0>();
  cp_async_wait<0>();
  write_diagonal(data, sums);
}

// Other warps may not have waited yet.
__global__ void stage_refilled_without_barrier(float* data) {
  start_kernel();
  bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a);
  wgmma_commit();
  wgmma_wait<0>();
  a[wgmma_swizzled(threadIdx.x, 0)] = to_bf16(5);
  write_diagonal(data, sums);
}

// ---- descriptors: what `change` turns about b's ----

template <int Rows>
__global__ void wgmma_off_its_atom(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a + Rows * 64);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

template <uint64_t Change>
__global__ void wgmma_with_descriptor(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, a, Change);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

__global__ void wgmma_past_its_row(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  wgmma<bf16, 64>(sums, wgmma_matrix(a) + 7, wgmma_matrix(a + 64 * 64) + 7);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

// ---- a in registers, b as columns: both halves of the operands, 64 elements of k, are 128 columns ----

inline uint64_t operand_columns(const bf16* a, int next = 64 * 64 * sizeof(bf16)) { return wgmma_columns(a, next); }

__global__ void right_wgmma_fragment(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  // e_r again, of the first 16 rows: columns c and c + 64 of row r < 16 are 1 for c = r, for warp 0.
  const int lane = threadIdx.x % 32;
  const auto one = [&](int row, int k) { return threadIdx.x < 32 && row == k ? 1.0f : 0.0f; };
  unsigned fragment[4];
  for (int i = 0; i < 4; i++) {
    const int row = i % 2 * 8 + lane / 4, k = i / 2 * 8 + lane % 4 * 2;
    fragment[i] = pack_pair<bf16>(one(row, k), one(row, k + 1));
  }
  float sums[64] = {};
  wgmma_fence();
  wgmma_fragment<bf16, 128>(sums, fragment, operand_columns(a));
  wgmma_commit();
  wgmma_wait<0>();
  bool good = true;
  for (int i = 0; i < 64; i++) {
    const int row = threadIdx.x / 32 * 16 + i % 4 / 2 * 8 + lane / 4, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
    good = good && sums[i] == (row < 16 && column % 64 == row ? 1.0f : 0.0f);
  }
  if (__all_sync(kAllLanes, good) && lane < 16) data[threadIdx.x / 32 * 16 + lane] = 1;
}

__global__ void fragment_overwritten(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  unsigned fragment[4] = {};
  float sums[64] = {};
  wgmma_fence();
  wgmma_fragment<bf16, 128>(sums, fragment, operand_columns(a));
  wgmma_commit();
  fragment[2] = 0;
  wgmma_wait<0>();
  data[threadIdx.x % 64] = sums[0];
}

// The sums are under way and need none, but the fragment was written since.
__global__ void fragment_without_fence(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  unsigned first[4] = {}, second[4] = {};
  float sums[64] = {};
  wgmma_fence();
  for (int i = 0; i < 2; i++) {
    wgmma_fragment<bf16, 128>(sums, first, operand_columns(a));
    wgmma_commit();
    wgmma_fragment<bf16, 128>(sums, second, operand_columns(a));
    wgmma_commit();
    wgmma_wait<1>();
    first[0] = i;
  }
  wgmma_wait<0>();
  data[threadIdx.x % 64] = sums[0];
}

template <int Next>
__global__ void columns_with_next(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  unsigned fragment[4] = {};
  float sums[64] = {};
  wgmma_fence();
  wgmma_fragment<bf16, 128>(sums, fragment, operand_columns(a, Next));
  wgmma_commit();
  wgmma_wait<0>();
  data[threadIdx.x % 64] = sums[0];
}

// ---- who takes part ----

__global__ void wgmma_by_three_warps(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  if (threadIdx.x < 96) {
    wgmma_fence();
    multiply_operands(sums, a);
    wgmma_commit();
    wgmma_wait<0>();
  }
  write_diagonal(data, sums);
}

__global__ void wgmma_by_half_a_warpgroup(float* data) {
  start_kernel();
  float sums[32] = {};
  wgmma_fence();
  write_diagonal(data, sums);
}

__global__ void wgmma_in_both_branches(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  if (threadIdx.x < 64)
    multiply_operands(sums, a);
  else
    wgmma<bf16, 64>(sums, wgmma_matrix(a), wgmma_matrix(a + 64 * 64));
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

__global__ void wgmma_of_two_minds(float* data) {
  start_kernel();
  const bf16* a = ready_operands();
  float sums[32] = {};
  wgmma_fence();
  multiply_operands(sums, threadIdx.x < 64 ? a : a + 8 * 64);
  wgmma_commit();
  wgmma_wait<0>();
  write_diagonal(data, sums);
}

}  // namespace glimt
