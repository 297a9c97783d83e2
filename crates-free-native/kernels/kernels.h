// The kernels by op: what the executor calls. Pointers are device memory; nothing here waits or allocates.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../runtime/library_gemm.h"
#include "../runtime/runtime.h"
#include "glimt_program.gen.h"

namespace glimt {

using program::DType;
using rt::Stream;

// A rectangle of device memory: element (r, c) is data[r * stride + c].
struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0, stride = 0;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// What Hopper's wgmma computes: nothing, products and attention of many rows, or all that it can.
enum class Wgmma { never, large, always };

// Parts of workspace begin at multiples of this.
constexpr size_t kWorkspaceAlignment = 256;
constexpr size_t workspace_bytes(size_t bytes) {
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}

// Attention that is cut into splits has fewer than two blocks a multiprocessor before the cut; see attention_paged.cu.
constexpr size_t ticket_count(int multiprocessors) { return size_t{8} * multiprocessors; }

struct KernelContext {
  Stream stream = nullptr;
  // Scratch for the running kernel, at least as large as its *_workspace function said.
  void* workspace = nullptr;
  // Counters for blocks that wait for each other's results, ticket_count of them: zero between kernels.
  unsigned* tickets = nullptr;
  int multiprocessors = 1;
  // For large products; null when only our own kernels shall run.
  rt::LibraryGemm* library = nullptr;
  // Nothing may be loaded or allocated now.
  bool capturing = false;
  Wgmma wgmma = Wgmma::never;

  // For a kernel that comes with others which use the first `bytes` of workspace.
  KernelContext behind(size_t bytes) const {
    KernelContext context = *this;
    context.workspace = static_cast<char*>(workspace) + workspace_bytes(bytes);
    return context;
  }
};

// y = x wᵀ (+ bias, f32, may be null). `w` rows are contiguous in steps of w.stride.
void linear(const KernelContext& context, const View& x, const View& w, const float* bias, const View& y);
size_t linear_workspace(int64_t m, int64_t n, int64_t k, int multiprocessors);
// y = swiglu(x gᵀ, x uᵀ), w = g over u.
void linear_swiglu(const KernelContext& context, const View& x, const View& w, const View& y);
size_t linear_swiglu_workspace(const View& x, const View& w, int multiprocessors);

void add(const KernelContext& context, const View& a, const View& b, const View& y);
void add_bias(const KernelContext& context, const View& x, const float* bias, const View& y);
void swiglu(const KernelContext& context, const View& gate, const View& up, const View& y);
void gelu(const KernelContext& context, const View& x, const View& y);

// Norms over groups of `group` columns; layer_norm over whole rows.
void rms_norm(const KernelContext& context, const View& x, const float* w, int64_t group, float eps, const View& y);
void add_rms_norm(const KernelContext& context, const View& a, const View& b, const float* w, float eps,
                  const View& sum, const View& y);
void rms_norm_add_rms_norm(const KernelContext& context, const View& a, const View& b, const float* wb, const float* w,
                           float eps, const View& sum, const View& y);
void layer_norm(const KernelContext& context, const View& x, const float* w, const float* b, float eps, const View& y);

void rope(const KernelContext& context, const View& x, const View& cos, const View& sin,
          const program::op_rope::Attrs& attrs, const View& y);
void kv_write(const KernelContext& context, const View& k, const View& v, const int32_t* slots, const View& cache,
              const program::op_kv_write::Attrs& attrs);

// y = rope(q); rope(k) and v go to the cache.
void rope_kv_write(const KernelContext& context, const View& q, const View& k, const View& v, const View& cos,
                   const View& sin, const int32_t* slots, const View& cache,
                   const program::op_rope_attention_paged::Attrs& attrs, const View& y);

void attention_varlen(const KernelContext& context, const View& q, const View& k, const View& v,
                      const int32_t* cu_seqlens, int64_t sequences, const program::op_attention_varlen::Attrs& attrs,
                      const View& y);
// `block_table` has `sequences` rows of `blocks` page numbers.
void attention_paged(const KernelContext& context, const View& q, const View& cache, const int32_t* block_table,
                     int64_t sequences, int64_t blocks, const int32_t* cu_seqlens, const int32_t* context_lens,
                     const program::op_attention_paged::Attrs& attrs, const View& y);
size_t attention_paged_workspace(int64_t tokens, int64_t sequences, int64_t blocks,
                                 const program::op_attention_paged::Attrs& attrs, int multiprocessors);
// The same after rope_kv_write. Workspace: the rotated queries, then attention_paged's.
void rope_attention_paged(const KernelContext& context, const View& q, const View& k, const View& v, const View& cos,
                          const View& sin, const int32_t* slots, const View& cache, const int32_t* block_table,
                          int64_t sequences, int64_t blocks, const int32_t* cu_seqlens, const int32_t* context_lens,
                          const program::op_rope_attention_paged::Attrs& attrs, const View& y);
size_t rope_attention_paged_workspace(const View& q, int64_t sequences, int64_t blocks,
                                      const program::op_rope_attention_paged::Attrs& attrs, int multiprocessors);

void embed(const KernelContext& context, const int32_t* ids, const View& table, const View& y);
void gather_rows(const KernelContext& context, const View& x, const int32_t* rows, const View& y);
void scatter_rows(const KernelContext& context, const View& values, const int32_t* rows, const View& x);
void position_embed_bicubic(const KernelContext& context, const View& table, const View& coords, uint32_t side,
                            const View& y);

void route_experts(const KernelContext& context, const View& logits, const float* correction,
                   const program::op_route_experts::Attrs& attrs, const View& experts, const View& weights);
void experts(const KernelContext& context, const View& x, const View& experts, const View& weights,
             const View& gate_up, const View& down, const program::op_experts::Attrs& attrs, const View& y);
size_t experts_workspace(const View& x, const program::op_experts::Attrs& attrs);

// A token for each row of logits; settings [rows, 4] and choices [rows, 2] are contiguous, cu_penalised has rows + 1.
void sample(const KernelContext& context, const View& logits, const float* settings, const int32_t* choices,
            const int32_t* penalised, int64_t num_penalised, const int32_t* cu_penalised, int32_t* tokens);
size_t sample_workspace(int64_t rows, int64_t v);

}  // namespace glimt
