// The limits of a GPU, measured now: reading memory once, copying it, and bf16 matrix products with float32 sums through
// cuBLASLt and through mma.sync in registers. Prints one JSON object. Built by bench/gpu.sh, with the backend's own
// runtime_cuda.cu and library_gemm_cuda.cu.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "library_gemm.h"
#include "runtime.h"

namespace {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s failed: %s\n", what, cudaGetErrorString(status));
  std::exit(1);
}

// Every thread keeps several loads under way; the result is used, so that nothing is left out.
__global__ void read_all(const uint4* data, size_t count, unsigned* sink) {
  const size_t stride = size_t{gridDim.x} * blockDim.x;
  unsigned sum = 0;
  size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (; i + 3 * stride < count; i += 4 * stride) {
    const uint4 a = __ldcs(data + i), b = __ldcs(data + i + stride);
    const uint4 c = __ldcs(data + i + 2 * stride), d = __ldcs(data + i + 3 * stride);
    sum += (a.x ^ a.y ^ a.z ^ a.w) + (b.x ^ b.y ^ b.z ^ b.w) + (c.x ^ c.y ^ c.z ^ c.w) + (d.x ^ d.y ^ d.z ^ d.w);
  }
  for (; i < count; i += stride) sum += data[i].x;
  if (sum == 0x12345678u) *sink = sum;
}

// Small values of both signs: zeros would draw less power and run faster than a model does.
__global__ void fill_noise(__nv_bfloat16* data, size_t count, unsigned seed) {
  const size_t stride = size_t{gridDim.x} * blockDim.x;
  for (size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
    unsigned word = static_cast<unsigned>(i) * 2654435761u + seed;
    word ^= word >> 15;
    word *= 2246822519u;
    word ^= word >> 13;
    data[i] = __float2bfloat16(static_cast<float>(word) / 4294967296.0f - 0.5f);
  }
}

constexpr int kChains = 8, kRounds = 4096;

// Eight independent m16n8k16 products a warp, all in registers.
__global__ void multiply_in_registers(float* sink) {
  unsigned a[4], b[2];
  for (int i = 0; i < 4; i++) a[i] = 0x3f803f81u + threadIdx.x * 7u + i;
  for (int i = 0; i < 2; i++) b[i] = 0x3c003c01u + threadIdx.x * 5u + i;
  float c[kChains][4] = {};
  for (int round = 0; round < kRounds; round++) {
#pragma unroll
    for (int chain = 0; chain < kChains; chain++)
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(c[chain][0]), "+f"(c[chain][1]), "+f"(c[chain][2]), "+f"(c[chain][3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
  float sum = 0;
  for (int chain = 0; chain < kChains; chain++)
    for (int i = 0; i < 4; i++) sum += c[chain][i];
  if (sum == 12345.0f) *sink = sum;
}

// Milliseconds of the fastest of `runs` after two that are not counted.
template <typename Run>
float fastest(cudaStream_t stream, int runs, Run run) {
  cudaEvent_t before, after;
  check(cudaEventCreate(&before), "cudaEventCreate");
  check(cudaEventCreate(&after), "cudaEventCreate");
  float best = 1e30f;
  for (int i = -2; i < runs; i++) {
    check(cudaEventRecord(before, stream), "cudaEventRecord");
    run();
    check(cudaGetLastError(), "launch");
    check(cudaEventRecord(after, stream), "cudaEventRecord");
    check(cudaEventSynchronize(after), "run");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, before, after), "cudaEventElapsedTime");
    if (i >= 0) best = std::min(best, milliseconds);
  }
  return best;
}

// TFLOP/s of the fastest of a few large square products; 0 without the library.
double library_tflops(cudaStream_t stream, std::string* status) {
  glimt::rt::LibraryGemm library;
  library.prepare();
  double best = 0;
  for (const int64_t size : {4096, 8192}) {
    __nv_bfloat16* matrices[3];
    for (auto& matrix : matrices) {
      check(cudaMalloc(&matrix, size * size * sizeof *matrix), "cudaMalloc");
      fill_noise<<<1024, 256, 0, stream>>>(matrix, size * size, static_cast<unsigned>(size));
    }
    const glimt::rt::GemmShape shape{glimt::program::DType::bf16, size, size, size, size, size, size};
    bool ran = true, bias_added = false;
    const float milliseconds = fastest(stream, 10, [&] {
      ran = ran && library.run(reinterpret_cast<glimt::rt::Stream>(stream), shape, matrices[0], matrices[1], nullptr,
                               matrices[2], &bias_added);
    });
    if (ran) best = std::max(best, 2.0 * size * size * size / milliseconds / 1e9);
    for (auto matrix : matrices) cudaFree(matrix);
  }
  *status = library.status();
  return best;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 32 ? ' ' : c;
  }
  return result;
}

}  // namespace

int main() {
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  cudaStream_t stream;
  check(cudaStreamCreate(&stream), "cudaStreamCreate");
  size_t free_bytes = 0, total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "cudaMemGetInfo");
  // Far beyond any cache, and a multiple of what a thread reads at once.
  const size_t bytes = std::min(free_bytes / 4, size_t{4} << 30) & ~size_t{4095};
  uint4 *from, *to;
  float* sink;
  check(cudaMalloc(&from, bytes), "cudaMalloc");
  check(cudaMalloc(&to, bytes), "cudaMalloc");
  check(cudaMalloc(&sink, 16), "cudaMalloc");
  fill_noise<<<1024, 256, 0, stream>>>(reinterpret_cast<__nv_bfloat16*>(from), bytes / 2, 1);
  const int blocks = properties.multiProcessorCount;

  float read_ms = 1e30f;
  for (const int per_processor : {2, 4, 8}) {
    read_ms = std::min(read_ms, fastest(stream, 10, [&] {
      read_all<<<blocks * per_processor, 256, 0, stream>>>(from, bytes / sizeof *from, reinterpret_cast<unsigned*>(sink));
    }));
  }
  const float copy_ms =
      fastest(stream, 10, [&] { cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream); });
  cudaFree(from);
  cudaFree(to);

  std::string status;
  const double library = library_tflops(stream, &status);
  constexpr int kThreads = 256, kPerProcessor = 4;
  const float registers_ms =
      fastest(stream, 5, [&] { multiply_in_registers<<<blocks * kPerProcessor, kThreads, 0, stream>>>(sink); });
  const double products = double(blocks) * kPerProcessor * (kThreads / 32) * kChains * kRounds;
  const double registers = products * 2 * 16 * 8 * 16 / registers_ms / 1e9;

  std::printf(
      "{\"readGBps\": %.1f, \"copyGBps\": %.1f, \"matrixTflops\": %.1f, \"how\": \"%s\", \"libraryTflops\": %.1f, "
      "\"registerTflops\": %.1f, \"library\": \"%s\", \"device\": \"%s\", \"multiprocessors\": %d}\n",
      bytes / read_ms / 1e6, 2.0 * bytes / copy_ms / 1e6, std::max(library, registers),
      library >= registers ? "cuBLASLt, square bf16 products" : "mma.sync in registers, bf16", library, registers,
      escaped(status).c_str(), escaped(properties.name).c_str(), blocks);
  return 0;
}
