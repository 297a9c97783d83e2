// One opened device: its stream, its memory, and the programs loaded on it.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_set>

#include "glimt_engine.h"
#include "group.h"
#include "kernels/kernels.h"
#include "program.h"
#include "runtime/library_gemm.h"
#include "runtime/runtime.h"

namespace glimt {

class Executable;
struct Binding;
struct Layout;
struct Repeat;

struct Tensor {
  program::DType dtype;
  uint64_t rows, cols, bytes;
  void* data;
  // No two tensors of an engine share it, though one's memory may become another's.
  uint64_t id;
};

class Engine {
 public:
  // In a group, waits for the others of it. Throws GROUP_FAILED.
  Engine(int device, bool use_library, bool batch_invariant, const glimt_group_seat* seat);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Zeroed. Throws OUT_OF_MEMORY.
  Tensor* allocate(program::DType dtype, uint64_t rows, uint64_t cols);
  void free(Tensor* tensor);
  void write(Tensor* tensor, uint64_t first_row, uint64_t rows, program::DType dtype, const void* data);
  void read(const Tensor* tensor, uint64_t first_row, uint64_t rows, void* data);
  void copy(Tensor* to, uint64_t first_row, const Tensor* from, uint64_t from_row, uint64_t rows);
  void* allocate_pinned(uint64_t bytes);
  void free_pinned(void* data);

  Executable* load(const void* program, uint64_t bytes, const glimt_weight* weights, uint32_t count);
  void free(Executable* executable);
  void bind(Executable* executable, const glimt_binding* resident, uint32_t count);
  void run(Executable* executable, const glimt_run_args& args);
  uint64_t arena_bytes(const Executable* executable, const glimt_symbol* symbols, uint32_t count);
  // Takes what a run of these sizes needs beside its tensors. `on_device`: inputs and outputs bound to tensors then,
  // beside those that are resident.
  void reserve(Executable* executable, const glimt_symbol* symbols, uint32_t symbol_count, const char* const* on_device,
               uint32_t count);
  void trim();

  uint64_t live_bytes() const { return tensor_bytes_ + arena_size_; }
  glimt_memory memory();
  const glimt_run_statistics& statistics() const { return statistics_; }
  // Throws DISPOSED when the tensor is not (or no longer) this engine's.
  Tensor* owned(const Tensor* tensor) const;
  // Likewise, for a tensor that was held on to: one made later at the same place is another.
  Tensor* owned(const Tensor* tensor, uint64_t id) const;
  // Tensors freed so far: while it stays the same, so do the tensors that were there.
  uint64_t frees() const { return frees_; }
  const KernelTerms& terms() const { return terms_; }
  // For tests: what they change is for programs that are loaded afterwards.
  KernelTerms& terms() { return terms_; }
  const std::string& library_status() const { return library_.status(); }
  // Its place in a group; null where it is alone.
  const rt::Seat* seat() const { return group_ ? &group_->seat() : nullptr; }

  // Taken by each call from outside.
  std::mutex mutex;
  // Makes the engine's device the calling thread's.
  void enter() { rt::use_device(device_); }

 private:
  // The same of a tensor in blocks, from floats or from plain bytes of its format.
  void write_blocks(const Tensor& tensor, uint64_t first_row, uint64_t rows, program::DType dtype, const void* data);
  // Sends `count` things in pieces of at most `piece`, each of which `send` puts into page-locked memory of half
  // kStagingBytes and starts on its way.
  void stage_pieces(uint64_t count, uint64_t piece,
                    const std::function<void(char* stage, uint64_t done, uint64_t now)>& send);
  // An arena of at least `bytes`; growing it forgets all captured graphs, which hold its addresses.
  void reserve_arena(uint64_t bytes);
  void reserve_staging(uint64_t bytes);
  size_t ticket_bytes() const;
  void stage_inputs(const Executable& executable, const Layout& layout, const Binding& binding);
  // Outputs in host memory: the copy is under way afterwards, and handed out once the stream was waited for.
  void start_fetching_outputs(const Layout& layout);
  void hand_out_outputs(const Executable& executable, const Layout& layout, const Binding& binding);
  void run_alone(Executable& executable, const glimt_run_args& args);
  void run_eagerly(Executable& executable, Layout& layout, const Binding& binding, const KernelContext& context,
                   const glimt_run_args& args);
  // Captures first when that was not done yet.
  void replay(const Executable& executable, Repeat& repeat, Layout& layout, const Binding& binding,
              const KernelContext& context, const glimt_run_args& args);

  int device_ = 0;
  KernelTerms terms_;
  rt::LibraryGemm library_;
  rt::Stream stream_ = nullptr;
  rt::Event before_ = nullptr, after_ = nullptr;
  // Recorded in turn while an interruptible run is launched.
  rt::Event paces_[2] = {};
  std::unordered_set<const Tensor*> tensors_;
  std::set<Executable*> executables_;
  std::set<void*> pinned_;
  uint64_t allocations_ = 0, frees_ = 0;
  uint64_t tensor_bytes_ = 0, arena_size_ = 0, staging_size_ = 0;
  void* arena_ = nullptr;
  // KernelContext::tickets.
  unsigned* tickets_ = nullptr;
  // Page-locked; uploads pass through it, and the host inputs and outputs of a run.
  char* staging_ = nullptr;
  glimt_run_statistics statistics_{};
  std::unique_ptr<Group> group_;
};

}  // namespace glimt
