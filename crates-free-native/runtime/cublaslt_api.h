// The part of cuBLASLt's C interface that is used, declared here so that building needs no cuBLAS. Its values are fixed by
// the library's ABI; where the header is installed they are compared with it.
#pragma once
#include <cuda_runtime.h>
#include <library_types.h>

#include <cstddef>
#include <cstdint>

namespace glimt::rt::cublaslt {

constexpr int kSuccess = 0, kCompute32F = 68, kOpTranspose = 1, kEpilogueDefault = 1, kEpilogueBias = 4;
constexpr int kDescTransA = 3, kDescEpilogue = 7, kDescBiasPointer = 8, kDescBiasDataType = 26;
constexpr int kPreferenceWorkspace = 1, kPreferenceAlignmentA = 5;  // B, C and D follow

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

using Handle = struct HandleTag*;
using Desc = struct DescTag*;
using Matrix = struct MatrixTag*;
using Preference = struct PreferenceTag*;

struct Api {
  int (*create)(Handle*);
  int (*destroy)(Handle);
  size_t (*version)();
  int (*desc_create)(Desc*, int compute, cudaDataType_t scale);
  int (*desc_destroy)(Desc);
  int (*desc_set)(Desc, int attribute, const void*, size_t);
  int (*matrix_create)(Matrix*, cudaDataType_t, uint64_t rows, uint64_t cols, int64_t stride);
  int (*matrix_destroy)(Matrix);
  int (*preference_create)(Preference*);
  int (*preference_destroy)(Preference);
  int (*preference_set)(Preference, int attribute, const void*, size_t);
  int (*heuristic)(Handle, Desc, Matrix a, Matrix b, Matrix c, Matrix d, Preference, int wanted, Heuristic*, int* found);
  int (*matmul)(Handle, Desc, const void* alpha, const void* a, Matrix, const void* b, Matrix, const void* beta,
                const void* c, Matrix, void* d, Matrix, const Algorithm*, void* workspace, size_t, cudaStream_t);
};

}  // namespace glimt::rt::cublaslt

#if __has_include(<cublasLt.h>)
#include <cublasLt.h>
namespace glimt::rt::cublaslt {
static_assert(kSuccess == CUBLAS_STATUS_SUCCESS && kCompute32F == CUBLAS_COMPUTE_32F && kOpTranspose == CUBLAS_OP_T);
static_assert(kEpilogueDefault == CUBLASLT_EPILOGUE_DEFAULT && kEpilogueBias == CUBLASLT_EPILOGUE_BIAS);
static_assert(kDescTransA == CUBLASLT_MATMUL_DESC_TRANSA && kDescEpilogue == CUBLASLT_MATMUL_DESC_EPILOGUE);
static_assert(kDescBiasPointer == CUBLASLT_MATMUL_DESC_BIAS_POINTER);
static_assert(kDescBiasDataType == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
static_assert(kPreferenceWorkspace == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
static_assert(kPreferenceAlignmentA == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
static_assert(kPreferenceAlignmentA + 3 == CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
static_assert(sizeof(Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(Heuristic, workspace) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(Heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
}  // namespace glimt::rt::cublaslt
#endif
