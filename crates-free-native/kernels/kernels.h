// What a kernel is given, and the kernels that others are made of. Pointers are device memory; nothing here waits, and
// nothing allocates but the library at its first use.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "../runtime/communicator.h"
#include "../runtime/library_gemm.h"
#include "../runtime/runtime.h"
#include "glimt_op_rules.gen.h"
#include "glimt_program.gen.h"
#include "glimt_storage.h"

namespace glimt {

using program::DType;
using rt::Stream;

// What operands may be stored in.
constexpr bool kernels_read(DType format) { return format <= DType::q4 || format == DType::fp8; }


// A rectangle of device memory: element (r, c) is data[r * stride + c].
struct Operand {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0, stride = 0;

  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

// Parts of workspace begin at multiples of this.
constexpr size_t kWorkspaceAlignment = 256;
constexpr size_t workspace_bytes(size_t bytes) {
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}

// Attention that is cut into splits has fewer than two blocks a multiprocessor before the cut; see attention_paged.cu.
constexpr size_t ticket_count(int multiprocessors) { return size_t{8} * multiprocessors; }

// Which of an op's kernels (candidates.h) was taken for a call, and all that fit it.
struct KernelDecision {
  const char* op;
  const char* taken;
  std::vector<const char*> fitting;
};

// What decides between the kernels of an op, beside a call's operands; an engine's own.
struct KernelTerms {
  int multiprocessors = 1;
  // The device has Hopper's wgmma; and it is used for products and attention of many rows (GLIMT_WGMMA).
  bool has_wgmma = false, uses_wgmma = false;
  // Only kernels whose rows do not depend on the company (candidates.h), and every cut of a sum is one that rows have no
  // say in.
  bool invariant = false;
  // For large products; null when only our own kernels shall run.
  rt::LibraryGemm* library = nullptr;
  // Kernels that are taken wherever they fit, see `prefer`.
  std::vector<const void*> preferred;
  // Told of each decision before the kernel is launched. For tests; may be empty.
  std::function<void(const KernelDecision&)> watch;
};

// "linear:mma" is taken from now on for whatever call it fits, "mma" of every op that has one. What was laid out before
// has no workspace for it. Throws INPUT_INVALID when there is no such kernel.
void prefer(KernelTerms& terms, const std::string& kernel);

struct KernelContext {
  Stream stream = nullptr;
  // The running kernel's own, at least as large as it asked for.
  void* workspace = nullptr;
  // Counters by which the last of several blocks knows that it is, ticket_count of them: zero between kernels.
  unsigned* tickets = nullptr;
  const KernelTerms& terms;
  // Where the engine is one of a group; else there are no instructions that need it.
  rt::Communicator* communicator = nullptr;
  // Nothing may be loaded or allocated now.
  bool capturing = false;

  // For a kernel that comes with others which use the first `bytes` of workspace.
  KernelContext behind(size_t bytes) const {
    KernelContext context = *this;
    context.workspace = static_cast<char*>(workspace) + workspace_bytes(bytes);
    return context;
  }
};

// Workspace is asked for before addresses are known: they are null then, and whatever could be taken counts.

// y = x wᵀ (+ bias, f32, may be null). `w` rows are contiguous in steps of w.stride.
struct LinearCall {
  Operand x, w;
  const float* bias;
  Operand y;
};
void linear(const KernelContext& context, const LinearCall& call);
size_t linear_workspace(const KernelTerms& terms, const LinearCall& call);
// y = swiglu(x gᵀ, x uᵀ), w = g over u. No bias.
void linear_swiglu(const KernelContext& context, const LinearCall& call);
size_t linear_swiglu_workspace(const KernelTerms& terms, const LinearCall& call);

void add_bias(const KernelContext& context, const Operand& x, const float* bias, const Operand& y);
void swiglu(const KernelContext& context, const Operand& gate, const Operand& up, const Operand& y);

// y = rope(q); rope(k) and v go to the cache.
void rope_kv_write(const KernelContext& context, const Operand& q, const Operand& k, const Operand& v, const Operand& cos,
                   const Operand& sin, const int32_t* slots, const Operand& cache,
                   const program::op_rope_attention_paged::Attrs& attrs, const Operand& y);

// Attention of one kind of input. `paged`: keys and values are pages of `cache`, visible up to a query's own position;
// else they are `k` and `v`, all visible inside a sequence.
struct AttentionCall {
  Operand q, k, v, y;
  bool paged = false;
  Operand cache;
  // `sequences` rows of `blocks` page numbers.
  const int32_t* block_table = nullptr;
  const int32_t* context_lens = nullptr;
  const int32_t* cu_seqlens = nullptr;
  int64_t sequences = 0, blocks = 0;
  int heads = 0, kv_heads = 0, head_dim = 0, page_size = 1;
  float scale = 0;
};
void attention_varlen(const KernelContext& context, const AttentionCall& call);
void attention_paged(const KernelContext& context, const AttentionCall& call);
size_t attention_paged_workspace(const KernelTerms& terms, const AttentionCall& call);
// The same of rope(q), after rope_kv_write. Workspace: the rotated queries, then attention_paged's.
void rope_attention_paged(const KernelContext& context, const Operand& k, const Operand& v, const Operand& cos,
                          const Operand& sin, const int32_t* slots,
                          const program::op_rope_attention_paged::Attrs& attrs, const AttentionCall& call);
size_t rope_attention_paged_workspace(const KernelTerms& terms, const AttentionCall& call);

struct ExpertsCall {
  Operand x, experts, weights, gate_up, down;
  program::op_experts::Attrs attrs;
  Operand y;
};
void experts(const KernelContext& context, const ExpertsCall& call);
size_t experts_workspace(const KernelTerms& terms, const ExpertsCall& call);

}  // namespace glimt
