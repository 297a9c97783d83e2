// A program with its weights bound: finds the memory of every operand for one run, and launches.
#pragma once
#include <string>
#include <vector>

#include "engine.h"
#include "instructions.h"

namespace glimt {

// Everything about one run that is known before anything is launched.
struct RunPlan {
  std::vector<int64_t> symbols;
  // Bytes of each slot, and where the parts of the scratch memory begin.
  std::vector<uint64_t> slot_offsets;
  uint64_t workspace_offset = 0, workspace_bytes = 0, inputs_offset = 0, input_bytes = 0, scratch_bytes = 0;
  struct HostInput {
    uint32_t buffer;
    const void* data;
    uint64_t bytes, offset;
  };
  std::vector<HostInput> host_inputs;
  // Device address of each buffer that is bound, by buffer index.
  std::vector<void*> addresses;
  std::vector<const int32_t*> host_indices;
  std::vector<Operands> operands;
};

class Executable {
 public:
  // Throws PROGRAM_INVALID.
  Executable(const Engine& engine, ProgramInfo program, const glimt_weight* weights, uint32_t count);
  ~Executable();

  const ProgramInfo& program() const { return program_; }
  // Bytes of scratch, without looking at bindings.
  uint64_t scratch_bytes(const Engine& engine, const glimt_symbol* symbols, uint32_t count) const;
  // Checks everything that can be checked. Throws INPUT_INVALID, PROGRAM_INVALID, DISPOSED.
  RunPlan plan(const Engine& engine, const glimt_run_args& args) const;
  // Fills in device addresses, now that the scratch memory has its place.
  void place(RunPlan& plan, void* scratch) const;
  // Launches all instructions. `pace` is called now and then and may wait for the device. Throws ABORTED.
  void launch(const RunPlan& plan, const KernelContext& context, const glimt_run_args& args,
              const std::function<void()>& pace) const;

  // ---- captured graphs, the latest last ----
  struct Captured {
    std::string key;
    rt::Graph graph;
  };
  // Symbol values and all addresses: what a graph was captured with.
  std::string graph_key(const RunPlan& plan) const;
  rt::Graph find_graph(const std::string& key);
  void keep_graph(const std::string& key, rt::Graph graph);
  void forget_graphs();
  // Modules of kernels load on their first launch, which a capture must not contain.
  bool warm = false;

 private:
  std::vector<int64_t> evaluate_symbols(const glimt_symbol* symbols, uint32_t count) const;
  int64_t evaluate(const Dim& dim, const std::vector<int64_t>& symbols) const;
  void plan_scratch(RunPlan& plan, const Engine& engine) const;
  void bind(RunPlan& plan, const Engine& engine, const glimt_run_args& args) const;
  void make_operands(RunPlan& plan) const;
  [[noreturn]] void refuse_binding(const RunPlan& plan, const BufferInfo& buffer, const std::string& found) const;
  std::string format_symbols(const std::vector<int64_t>& symbols) const;

  ProgramInfo program_;
  // By buffer index; null for buffers that are no weight.
  std::vector<const Tensor*> weights_;
  std::vector<Captured> graphs_;
};

}  // namespace glimt
