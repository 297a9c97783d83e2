#include "executable.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include "runtime/error.h"

namespace glimt {

namespace {

using program::BufferKind;

constexpr uint64_t kAlignment = 256;
constexpr size_t kMaxGraphs = 64;
constexpr size_t kPaceInstructions = 16;
// Between slots on the emulator, so that a write past a slot's end hits nobody.
constexpr uint64_t kSlotGap = rt::kEmulated ? kAlignment : 0;

uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::string format_dim(const Dim& dim, const std::vector<std::string>& symbols) {
  if (dim.symbol < 0) return std::to_string(dim.add);
  std::string text = (dim.num == 1 ? "" : std::to_string(dim.num) + "*") + symbols[dim.symbol] +
                     (dim.den == 1 ? "" : "/" + std::to_string(dim.den));
  if (dim.add != 0) text += (dim.add > 0 ? "+" : "") + std::to_string(dim.add);
  return text;
}

}  // namespace

Executable::Executable(const Engine& engine, ProgramInfo program, const glimt_weight* weights, uint32_t count)
    : program_(std::move(program)) {
  std::map<std::string, const Tensor*> by_name;
  for (uint32_t i = 0; i < count; i++)
    by_name[weights[i].name] = engine.owned(reinterpret_cast<const Tensor*>(weights[i].tensor));
  const auto shape = [](const char* dtype, uint64_t rows, uint64_t cols) {
    return std::string(dtype) + "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
  };
  for (const BufferInfo& buffer : program_.buffers) {
    weights_.push_back(nullptr);
    if (buffer.kind != BufferKind::weight) continue;
    const auto found = by_name.find(buffer.name);
    if (found == by_name.end())
      throw Error("PROGRAM_INVALID", program_.name + ": weight \"" + buffer.name + "\" is missing.");
    const Tensor& tensor = *found->second;
    if (buffer.rows.symbol >= 0 || buffer.cols.symbol >= 0)
      throw Error("PROGRAM_INVALID", program_.name + ": weight \"" + buffer.name + "\" has no fixed shape.");
    const auto rows = static_cast<uint64_t>(buffer.rows.add), cols = static_cast<uint64_t>(buffer.cols.add);
    if (tensor.dtype != buffer.dtype || tensor.rows != rows || tensor.cols != cols)
      throw Error("PROGRAM_INVALID", program_.name + ": weight \"" + buffer.name + "\" is " +
                                         shape(dtype_name(tensor.dtype), tensor.rows, tensor.cols) + ", expected " +
                                         shape(dtype_name(buffer.dtype), rows, cols) + ".");
    weights_.back() = &tensor;
  }
}

Executable::~Executable() { forget_graphs(); }

std::vector<int64_t> Executable::evaluate_symbols(const glimt_symbol* symbols, uint32_t count) const {
  std::vector<int64_t> values;
  for (const std::string& name : program_.symbols) {
    const auto* found = std::find_if(symbols, symbols + count, [&](auto& symbol) { return name == symbol.name; });
    if (found == symbols + count) throw Error("INPUT_INVALID", "No value was given for \"" + name + "\".");
    values.push_back(found->value);
  }
  return values;
}

int64_t Executable::evaluate(const Dim& dim, const std::vector<int64_t>& symbols) const {
  if (dim.symbol < 0) return dim.add;
  const int64_t value = symbols[dim.symbol];
  const int64_t scaled = value * dim.num, result = scaled / dim.den + dim.add;
  if (scaled % dim.den != 0 || result < 0 || value < 0 || value > (int64_t{1} << 40)) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", static_cast<double>(scaled) / dim.den + dim.add);
    throw Error("INPUT_INVALID", format_dim(dim, program_.symbols) + " with " + program_.symbols[dim.symbol] + "=" +
                                     std::to_string(value) + " gives " + text + ".");
  }
  return result;
}

void Executable::plan_scratch(RunPlan& plan, const Engine& engine) const {
  std::vector<uint64_t> slots(program_.slot_count, 0);
  for (const BufferInfo& buffer : program_.buffers) {
    if (buffer.kind != BufferKind::temporary) continue;
    const uint64_t bytes = static_cast<uint64_t>(evaluate(buffer.rows, plan.symbols)) *
                           evaluate(buffer.cols, plan.symbols) * element_bytes(buffer.dtype);
    slots[buffer.slot] = std::max(slots[buffer.slot], bytes);
  }
  uint64_t offset = kSlotGap;
  for (uint64_t bytes : slots) {
    plan.slot_offsets.push_back(offset);
    offset += aligned(bytes) + kSlotGap;
  }
  // Shapes are all that a workspace depends on.
  for (const Operands& operands : plan.operands) {
    const OpEntry& entry = *find_op(operands.instruction.op);
    if (entry.workspace)
      plan.workspace_bytes = std::max<uint64_t>(plan.workspace_bytes, entry.workspace(operands, engine.multiprocessors()));
  }
  plan.workspace_offset = offset;
  offset += aligned(plan.workspace_bytes) + kSlotGap;
  plan.inputs_offset = offset;
  plan.scratch_bytes = offset + aligned(plan.input_bytes);
}

void Executable::make_operands(RunPlan& plan) const {
  std::vector<View> views;
  for (const TensorInfo& tensor : program_.tensors) {
    const BufferInfo& buffer = program_.buffers[tensor.buffer];
    View view{nullptr, buffer.dtype, evaluate(tensor.rows, plan.symbols), evaluate(tensor.cols, plan.symbols), 0};
    view.stride = tensor.row_stride ? tensor.row_stride : view.cols;
    const int64_t elements = evaluate(buffer.rows, plan.symbols) * evaluate(buffer.cols, plan.symbols);
    const bool empty = view.rows == 0 || view.cols == 0;
    if (!empty && (tensor.col_offset + (view.rows - 1) * view.stride + view.cols > elements || view.stride < view.cols))
      throw Error("PROGRAM_INVALID", program_.name + ": a tensor lies outside of its buffer \"" + buffer.name + "\"" +
                                         format_symbols(plan.symbols) + ".");
    views.push_back(view);
  }
  for (const InstructionInfo& instruction : program_.instructions) {
    Operands operands{instruction, {}, {}, {}};
    for (uint32_t index : instruction.inputs) operands.inputs.push_back(views[index]);
    for (uint32_t index : instruction.outputs) operands.outputs.push_back(views[index]);
    plan.operands.push_back(std::move(operands));
  }
}

uint64_t Executable::scratch_bytes(const Engine& engine, const glimt_symbol* symbols, uint32_t count) const {
  RunPlan plan;
  plan.symbols = evaluate_symbols(symbols, count);
  make_operands(plan);
  plan_scratch(plan, engine);
  return plan.scratch_bytes;
}

void Executable::refuse_binding(const RunPlan& plan, const BufferInfo& buffer, const std::string& found) const {
  static const char* const kKinds[] = {"weight", "state", "input", "output", "temporary"};
  throw Error("INPUT_INVALID", program_.name + ": " + kKinds[static_cast<int>(buffer.kind)] + " \"" + buffer.name +
                                   "\" " + found + ", expected " + dtype_name(buffer.dtype) + "[" +
                                   std::to_string(evaluate(buffer.rows, plan.symbols)) + ", " +
                                   std::to_string(evaluate(buffer.cols, plan.symbols)) + "]" +
                                   format_symbols(plan.symbols) + ".");
}

std::string Executable::format_symbols(const std::vector<int64_t>& symbols) const {
  if (symbols.empty()) return "";
  std::string text;
  for (size_t i = 0; i < symbols.size(); i++)
    text += (i ? ", " : " (") + program_.symbols[i] + "=" + std::to_string(symbols[i]);
  return text + ")";
}

void Executable::bind(RunPlan& plan, const Engine& engine, const glimt_run_args& args) const {
  plan.addresses.assign(program_.buffers.size(), nullptr);
  plan.host_indices.assign(program_.buffers.size(), nullptr);
  for (uint32_t index = 0; index < program_.buffers.size(); index++) {
    const BufferInfo& buffer = program_.buffers[index];
    if (buffer.kind == BufferKind::temporary) continue;
    if (weights_[index]) {
      plan.addresses[index] = engine.owned(weights_[index])->data;
      continue;
    }
    const uint64_t needed = static_cast<uint64_t>(evaluate(buffer.rows, plan.symbols)) * evaluate(buffer.cols, plan.symbols);
    const auto* end = args.bindings + args.binding_count;
    const auto* binding = std::find_if(args.bindings, end, [&](auto& one) { return buffer.name == one.name; });
    if (binding == end) refuse_binding(plan, buffer, "is not bound");
    if (binding->tensor) {
      const Tensor& tensor = *engine.owned(reinterpret_cast<const Tensor*>(binding->tensor));
      if (tensor.dtype != buffer.dtype) refuse_binding(plan, buffer, std::string("is ") + dtype_name(tensor.dtype));
      if (binding->first_row > tensor.rows || binding->rows > tensor.rows - binding->first_row)
        refuse_binding(plan, buffer, "is bound to rows outside of its tensor");
      if (binding->rows * tensor.cols < needed)
        refuse_binding(plan, buffer, "has " + std::to_string(binding->rows * tensor.cols) + " elements");
      plan.addresses[index] = static_cast<char*>(tensor.data) + binding->first_row * tensor.cols * element_bytes(tensor.dtype);
      continue;
    }
    if (buffer.kind != BufferKind::input) refuse_binding(plan, buffer, "is bound to a host array");
    const auto dtype = static_cast<program::DType>(binding->host_dtype);
    const bool half = element_bytes(dtype) == 2 && element_bytes(buffer.dtype) == 2;
    if (dtype != buffer.dtype && !half)
      refuse_binding(plan, buffer, std::string("is ") + (element_bytes(dtype) == 2 ? "bf16 or f16" : dtype_name(dtype)));
    if (binding->host_elements < needed)
      refuse_binding(plan, buffer, "has " + std::to_string(binding->host_elements) + " elements");
    const uint64_t bytes = needed * element_bytes(buffer.dtype);
    plan.host_inputs.push_back({index, binding->host, bytes, plan.input_bytes});
    plan.input_bytes += aligned(bytes);
    if (buffer.dtype == program::DType::i32) plan.host_indices[index] = static_cast<const int32_t*>(binding->host);
  }
}

RunPlan Executable::plan(const Engine& engine, const glimt_run_args& args) const {
  RunPlan plan;
  plan.symbols = evaluate_symbols(args.symbols, args.symbol_count);
  bind(plan, engine, args);
  make_operands(plan);
  plan_scratch(plan, engine);

  // Layers share their index inputs: each is looked through once for each kind of use.
  std::set<std::tuple<program::Op, std::vector<const int32_t*>, int64_t, int64_t>> seen;
  for (Operands& operands : plan.operands) {
    const OpEntry& entry = *find_op(operands.instruction.op);
    entry.check(operands);
    if (!entry.check_indices) continue;
    bool any = false;
    for (uint32_t tensor : operands.instruction.inputs) {
      const TensorInfo& info = program_.tensors[tensor];
      const int32_t* host = plan.host_indices[info.buffer];
      operands.host.push_back(host ? host + info.col_offset : nullptr);
      any = any || host;
    }
    const auto use = std::make_tuple(operands.instruction.op, operands.host, operands.inputs[0].rows,
                                     operands.inputs[std::min<size_t>(3, operands.inputs.size() - 1)].rows);
    if (any && seen.insert(use).second) entry.check_indices(operands);
  }
  return plan;
}

void Executable::place(RunPlan& plan, void* scratch) const {
  char* base = static_cast<char*>(scratch);
  for (const auto& input : plan.host_inputs) plan.addresses[input.buffer] = base + plan.inputs_offset + input.offset;
  for (size_t index = 0; index < program_.buffers.size(); index++)
    if (program_.buffers[index].kind == BufferKind::temporary)
      plan.addresses[index] = base + plan.slot_offsets[program_.buffers[index].slot];
  const auto address = [&](uint32_t tensor) {
    const TensorInfo& info = program_.tensors[tensor];
    return static_cast<char*>(plan.addresses[info.buffer]) +
           uint64_t{info.col_offset} * element_bytes(program_.buffers[info.buffer].dtype);
  };
  for (Operands& operands : plan.operands) {
    const InstructionInfo& instruction = operands.instruction;
    for (size_t i = 0; i < operands.inputs.size(); i++) operands.inputs[i].data = address(instruction.inputs[i]);
    for (size_t i = 0; i < operands.outputs.size(); i++) operands.outputs[i].data = address(instruction.outputs[i]);
    // Some checks compare addresses (an output that must be its input).
    find_op(instruction.op)->check(operands);
  }
}

void Executable::launch(const RunPlan& plan, const KernelContext& context, const glimt_run_args& args,
                        const std::function<void()>& pace) const {
  size_t done = 0;
  for (const Operands& operands : plan.operands) {
    if (pace && done % kPaceInstructions == 0) pace();
    if (args.abort && __atomic_load_n(args.abort, __ATOMIC_RELAXED))
      throw Error("ABORTED", "The operation was aborted.");
    find_op(operands.instruction.op)->run(context, operands);
    done++;
    if (args.progress)
      __atomic_store_n(args.progress, static_cast<int32_t>(1000 * done / plan.operands.size()), __ATOMIC_RELAXED);
  }
}

std::string Executable::graph_key(const RunPlan& plan) const {
  std::string key;
  const auto append = [&](const auto& values) {
    key.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
  };
  append(plan.symbols);
  append(plan.addresses);
  return key;
}

rt::Graph Executable::find_graph(const std::string& key) {
  const auto found = std::find_if(graphs_.begin(), graphs_.end(), [&](auto& graph) { return graph.key == key; });
  if (found == graphs_.end()) return nullptr;
  std::rotate(found, found + 1, graphs_.end());
  return graphs_.back().graph;
}

void Executable::keep_graph(const std::string& key, rt::Graph graph) {
  if (graphs_.size() == kMaxGraphs) {
    rt::destroy_graph(graphs_.front().graph);
    graphs_.erase(graphs_.begin());
  }
  graphs_.push_back({key, graph});
}

void Executable::forget_graphs() {
  for (auto& captured : graphs_) rt::destroy_graph(captured.graph);
  graphs_.clear();
}

}  // namespace glimt
