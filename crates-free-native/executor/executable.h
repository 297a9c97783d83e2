// A program with its weights bound: finds the memory of every operand for one run, and launches.
#pragma once
#include <string>
#include <vector>

#include "engine.h"
#include "instructions.h"

namespace glimt {

// What depends on symbol values and on what is bound to host memory, but not on addresses: kept from run to run.
struct Layout {
  std::vector<int64_t> symbols;
  // Elements of each buffer.
  std::vector<uint64_t> elements;
  // Where each slot, the workspace and what is staged for host memory (inputs, then outputs) begin in scratch memory.
  std::vector<uint64_t> slot_offsets;
  uint64_t workspace_offset = 0, staged_offset = 0, input_bytes = 0, staged_bytes = 0, scratch_bytes = 0;
  // Offset of each staged buffer behind staged_offset; kNotStaged for the others.
  std::vector<uint64_t> staged;
  // Shapes are filled in; addresses are `bind`'s.
  std::vector<Operands> operands;
  // Instructions whose host indices are checked: one of each kind of use.
  std::vector<uint32_t> index_checks;

  // It ran eagerly once: modules of kernels load on their first launch, which a capture must not contain.
  bool warm = false;

  static constexpr uint64_t kNotStaged = ~uint64_t{0};
};

// Memory of the buffers in one run, by buffer index.
struct Binding {
  std::vector<void*> addresses;
  // Inputs and outputs in host memory; null for the others.
  std::vector<void*> host;
};

class Executable {
 public:
  // Throws PROGRAM_INVALID.
  Executable(const Engine& engine, ProgramInfo program, const glimt_weight* weights, uint32_t count);
  ~Executable();

  const ProgramInfo& program() const { return program_; }
  // Bytes of scratch, without looking at bindings.
  uint64_t scratch_bytes(const Engine& engine, const glimt_symbol* symbols, uint32_t count) const;
  // Finds the memory that is bound. Throws INPUT_INVALID naming a symbol or buffer, DISPOSED.
  Layout& plan(const Engine& engine, const glimt_run_args& args, Binding& binding);
  // Throws INPUT_INVALID when an index in host memory points outside.
  void check_indices(Layout& layout, const Binding& binding) const;
  // Fills in what lies in scratch memory.
  void place(const Layout& layout, Binding& binding, void* scratch) const;
  // Launches all instructions. `pace` is called now and then and may wait for the device. Throws ABORTED.
  void launch(Layout& layout, const Binding& binding, const KernelContext& context, const glimt_run_args& args,
              const std::function<void()>& pace) const;

  // ---- captured graphs, the latest last ----
  struct Captured {
    std::string key;
    rt::Graph graph;
  };
  // Symbol values and all addresses: what a graph was captured with.
  std::string graph_key(const Layout& layout, const Binding& binding) const;
  rt::Graph find_graph(const std::string& key);
  void keep_graph(const std::string& key, rt::Graph graph);
  void forget_graphs();

 private:
  std::vector<int64_t> evaluate_symbols(const glimt_symbol* symbols, uint32_t count) const;
  int64_t evaluate(const Dim& dim, const std::vector<int64_t>& symbols) const;
  Layout make_layout(const Engine& engine, std::vector<int64_t> symbols, const std::vector<bool>& on_host) const;
  void make_operands(Layout& layout) const;
  void find_index_checks(Layout& layout, const std::vector<bool>& on_host) const;
  void bind_buffer(const Engine& engine, const glimt_binding& bound, uint32_t index, uint64_t needed,
                   const std::vector<int64_t>& symbols, Binding& binding) const;
  [[noreturn]] void refuse_binding(const BufferInfo& buffer, const std::vector<int64_t>& symbols,
                                   const std::string& found) const;
  std::string format_symbols(const std::vector<int64_t>& symbols) const;

  ProgramInfo program_;
  // By buffer index; null for buffers that are no weight.
  std::vector<const Tensor*> weights_;
  std::vector<Captured> graphs_;
  // The latest last.
  std::vector<std::pair<std::string, std::unique_ptr<Layout>>> layouts_;
};

}  // namespace glimt
