// A program with its weights bound: finds the memory of every operand for one run, and launches.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine.h"
#include "kernels/op_entry.h"
#include "program.h"
#include "repeats.h"

namespace glimt {

// What depends on symbol values and on what is bound to host memory, but not on addresses: kept from run to run.
struct Layout {
  std::vector<int64_t> symbols;
  // Elements of each buffer.
  std::vector<uint64_t> elements;
  // Where each slot, the workspace and what is staged for host memory (inputs, then outputs) begin in the arena.
  std::vector<uint64_t> slot_offsets;
  uint64_t workspace_offset = 0, staged_offset = 0, input_bytes = 0, staged_bytes = 0, arena_bytes = 0;
  // To other ranks of a group.
  uint64_t bytes_given = 0;
  // Offset of each staged buffer behind staged_offset; kNotStaged for the others.
  std::vector<uint64_t> staged;
  // One an instruction. Shapes are filled in; addresses are `launch`'s.
  std::vector<Call> calls;
  // Instructions whose host indices are checked: one of each kind of use.
  std::vector<uint32_t> index_checks;

  static constexpr uint64_t kNotStaged = ~uint64_t{0};
};

// Memory of the buffers in one run, by buffer index.
struct Binding {
  std::vector<void*> addresses;
  // Inputs and outputs in host memory; null for the others.
  std::vector<void*> host;
  // Inputs whose host memory is float32 and that are narrower: rounded while they are staged.
  std::vector<bool> rounded;
  // What the run has in common with others that do the same to the same device memory.
  std::string key;
};

class Executable {
 public:
  // Throws PROGRAM_INVALID.
  Executable(const Engine& engine, ProgramInfo program, const glimt_weight* weights, uint32_t count);

  const ProgramInfo& program() const { return program_; }
  // Whether the buffer of that name is an output.
  bool writes(const std::string& buffer) const;
  // Device rows that later runs start from, by name, in place of those bound before. Throws INPUT_INVALID naming a
  // buffer, DISPOSED; nothing is changed then.
  void bind(const Engine& engine, const glimt_binding* resident, uint32_t count);
  // Bytes of the arena, without looking at bindings.
  uint64_t arena_bytes(const Engine& engine, const glimt_symbol* symbols, uint32_t count) const;
  // Whether it has instructions that ranks of a group carry out together.
  bool communicates() const { return communicates_; }
  // How a run will be laid out. `on_device`: inputs and outputs that are bound to tensors then, beside residents.
  const Layout& foresee(const Engine& engine, const glimt_symbol* symbols, uint32_t symbol_count,
                        const char* const* on_device, uint32_t count);
  // Finds the memory that is bound. Throws INPUT_INVALID naming a symbol or buffer, DISPOSED.
  Layout& plan(const Engine& engine, const glimt_run_args& args, Binding& binding);
  // Throws INPUT_INVALID when an index in host memory points outside.
  void check_indices(Layout& layout, const Binding& binding) const;
  // Fills in what lies in the arena.
  void place(const Layout& layout, Binding& binding, void* arena) const;
  // Launches all instructions. `pace` is called now and then and may wait for the device. Throws ABORTED.
  void launch(Layout& layout, const Binding& binding, const KernelContext& context, const glimt_run_args& args,
              const std::function<void()>& pace) const;

  Repeats& repeats() { return repeats_; }

 private:
  // A tensor that is used from run to run; a freed one's address may be another's by then.
  struct Held {
    const Tensor* tensor = nullptr;
    uint64_t id = 0;
  };
  struct Resident : Held {
    uint64_t first_row = 0, rows = 0;
  };

  std::vector<int64_t> evaluate_symbols(const glimt_symbol* symbols, uint32_t count) const;
  int64_t evaluate(const Dim& dim, const std::vector<int64_t>& symbols) const;
  Layout make_layout(const Engine& engine, std::vector<int64_t> symbols, const std::vector<bool>& on_host) const;
  Layout& find_layout(const Engine& engine, std::vector<int64_t> symbols, const std::vector<bool>& on_host);
  void make_calls(Layout& layout) const;
  void check_call(const InstructionInfo& instruction, const Call& call) const;
  // Finds whether it communicates, and that the engine's group is the one it was made for.
  void check_group(const Engine& engine);
  void find_index_checks(Layout& layout, const std::vector<bool>& on_host) const;
  void check_weights(const Engine& engine);
  void bind_rows(const Engine& engine, const Resident& rows, uint32_t index, const Layout& layout,
                 Binding& binding) const;
  void bind_host(const glimt_binding& bound, uint32_t index, const Layout& layout, Binding& binding) const;
  [[noreturn]] void refuse_binding(const BufferInfo& buffer, const std::vector<int64_t>& symbols,
                                   const std::string& found) const;
  std::string format_symbols(const std::vector<int64_t>& symbols) const;

  ProgramInfo program_;
  // States, inputs and outputs.
  std::vector<uint32_t> bindable_;
  std::unordered_map<std::string, uint32_t> bindable_by_name_, symbol_by_name_;
  // By buffer index; without a tensor for buffers that are no weight, or not resident.
  std::vector<Held> weights_;
  std::vector<Resident> residents_;
  // Addresses of the weights, and null for the other buffers.
  std::vector<void*> fixed_addresses_;
  bool communicates_ = false;
  // Engine::frees() when the weights were found to be there.
  uint64_t weights_checked_at_ = 0;
  Repeats repeats_;
  // The latest last.
  std::vector<std::pair<std::string, std::unique_ptr<Layout>>> layouts_;
};

}  // namespace glimt
