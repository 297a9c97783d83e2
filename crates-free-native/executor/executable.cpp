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
constexpr size_t kMaxLayouts = 64;
constexpr size_t kPaceInstructions = 16;
// Of a buffer; the bytes of all buffers are numbers then.
constexpr uint64_t kMaxElements = uint64_t{1} << 48;
constexpr uint64_t kMaxArenaBytes = uint64_t{1} << 60;
// Between slots on the emulator, so that a write past a slot's end hits nobody.
constexpr uint64_t kSlotGap = rt::kEmulated ? kAlignment : 0;

void append_bytes(std::string& text, uint64_t value) {
  text.append(reinterpret_cast<const char*>(&value), sizeof value);
}

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
  for (uint32_t i = 0; i < program_.symbols.size(); i++) symbol_by_name_[program_.symbols[i]] = i;
  for (uint32_t index = 0; index < program_.buffers.size(); index++) {
    const BufferInfo& buffer = program_.buffers[index];
    weights_.emplace_back();
    fixed_addresses_.push_back(nullptr);
    if (buffer.kind == BufferKind::temporary) continue;
    if (buffer.kind != BufferKind::weight) {
      bindable_.push_back(index);
      bindable_by_name_[buffer.name] = index;
      continue;
    }
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
    weights_.back() = {&tensor, tensor.id};
    fixed_addresses_.back() = tensor.data;
  }
  residents_.resize(program_.buffers.size());
  weights_checked_at_ = engine.frees();
  check_group(engine);
}

void Executable::check_group(const Engine& engine) {
  const rt::Seat* seat = engine.seat();
  for (const InstructionInfo& instruction : program_.instructions) {
    const OpEntry* entry = find_op(instruction.op);
    if (!entry || !entry->gives) continue;
    communicates_ = true;
    const auto refuse = [&](const std::string& reason) {
      throw Error("PROGRAM_INVALID", program_.name + ": " + instruction.scope + "." +
                                         program::op_info(instruction.op)->name + " " + reason + ".");
    };
    if (!seat) refuse("is for an engine of a group, and this one is alone");
    const int64_t number = instruction.attrs.empty() ? 0 : instruction.attrs[0];
    switch (instruction.op) {
      case program::Op::all_gather:
      case program::Op::reduce_scatter:
        if (number != seat->tensor)
          refuse("is for stages of " + std::to_string(number) + " ranks, and the group's have " +
                 std::to_string(seat->tensor));
        break;
      case program::Op::send:
      case program::Op::receive:
        if (number >= seat->ranks || number == seat->rank)
          refuse("is with rank " + std::to_string(number) + ", which rank " + std::to_string(seat->rank) + " of " +
                 std::to_string(seat->ranks) + " can not reach");
        break;
      default: break;
    }
  }
}

std::vector<int64_t> Executable::evaluate_symbols(const glimt_symbol* symbols, uint32_t count) const {
  std::vector<int64_t> values(program_.symbols.size(), 0);
  std::vector<bool> given(program_.symbols.size(), false);
  for (uint32_t i = 0; i < count; i++) {
    const auto found = symbol_by_name_.find(symbols[i].name);
    if (found == symbol_by_name_.end()) continue;
    values[found->second] = symbols[i].value;
    given[found->second] = true;
  }
  for (size_t i = 0; i < given.size(); i++)
    if (!given[i]) throw Error("INPUT_INVALID", "No value was given for \"" + program_.symbols[i] + "\".");
  return values;
}

int64_t Executable::evaluate(const Dim& dim, const std::vector<int64_t>& symbols) const {
  if (dim.symbol < 0) return dim.add;
  const int64_t value = symbols[dim.symbol];
  // 31 bits of a symbol and 32 of a factor stay below 64.
  const bool is_size = value >= 0 && value <= INT32_MAX;
  const int64_t scaled = is_size ? value * dim.num : -1, result = scaled / dim.den + dim.add;
  if (!is_size || scaled % dim.den != 0 || result < 0 || result > INT32_MAX) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", static_cast<double>(value) * dim.num / dim.den + dim.add);
    throw Error("INPUT_INVALID", format_dim(dim, program_.symbols) + " with " + program_.symbols[dim.symbol] + "=" +
                                     std::to_string(value) + " gives " + text + ".");
  }
  return result;
}

void Executable::make_calls(Layout& layout) const {
  std::vector<Operand> operands;
  for (const TensorInfo& tensor : program_.tensors) {
    const BufferInfo& buffer = program_.buffers[tensor.buffer];
    Operand operand{nullptr, buffer.dtype, evaluate(tensor.rows, layout.symbols), evaluate(tensor.cols, layout.symbols),
                    0};
    operand.stride = tensor.row_stride ? tensor.row_stride : operand.cols;
    // Sizes have 31 bits and strides 32.
    const auto rows = static_cast<uint64_t>(operand.rows), cols = static_cast<uint64_t>(operand.cols);
    const bool empty = rows == 0 || cols == 0;
    const uint64_t end = empty ? 0 : tensor.col_offset + (rows - 1) * static_cast<uint64_t>(operand.stride) + cols;
    // Scales lie behind all of a buffer's blocks, so that only the whole is an operand.
    const bool in_parts = isGrouped(buffer.dtype) &&
                          (tensor.col_offset != 0 || operand.stride != operand.cols ||
                           operand.rows != evaluate(buffer.rows, layout.symbols) ||
                           operand.cols != evaluate(buffer.cols, layout.symbols));
    if (in_parts)
      throw Error("PROGRAM_INVALID", program_.name + ": a tensor is a part of its buffer \"" + buffer.name + "\", and " +
                                         dtype_name(buffer.dtype) + " is used whole.");
    if (end > layout.elements[tensor.buffer] || operand.stride < operand.cols)
      throw Error("PROGRAM_INVALID", program_.name + ": a tensor lies outside of its buffer \"" + buffer.name + "\"" +
                                         format_symbols(layout.symbols) + ".");
    operands.push_back(operand);
  }
  for (const InstructionInfo& instruction : program_.instructions) {
    Call call{instruction.op, {}, {}, instruction.attrs.data(), {}};
    for (uint32_t index : instruction.inputs) call.in.push_back(operands[index]);
    for (uint32_t index : instruction.outputs) call.out.push_back(operands[index]);
    check_call(instruction, call);
    layout.calls.push_back(std::move(call));
  }
}

// A verified program keeps the op table's rules; bytes may come from elsewhere, and kernels stay in their memory by them.
void Executable::check_call(const InstructionInfo& instruction, const Call& call) const {
  const auto fail = [&](const std::string& found) {
    throw Error("PROGRAM_INVALID", program_.name + ": " + instruction.scope + "." + call.name() + ": " + found + ".");
  };
  const char* wrong = program::misfit(call.op, program_.activation, call.in.data(), call.out.data(), call.attributes);
  if (wrong) fail(std::string(wrong) + " does not fit the op");
  std::vector<program::DType> formats;
  for (const Operand& operand : call.in) formats.push_back(operand.dtype);
  const auto refuse = find_op(call.op)->refuse;
  if (const char* reason = refuse ? refuse(formats.data()) : nullptr) fail(reason);
}

Layout Executable::make_layout(const Engine& engine, std::vector<int64_t> symbols,
                               const std::vector<bool>& on_host) const {
  Layout layout;
  layout.symbols = std::move(symbols);
  std::vector<uint64_t> slots(program_.slot_count, 0);
  for (uint32_t index = 0; index < program_.buffers.size(); index++) {
    const BufferInfo& buffer = program_.buffers[index];
    const uint64_t elements =
        static_cast<uint64_t>(evaluate(buffer.rows, layout.symbols)) * evaluate(buffer.cols, layout.symbols);
    if (elements >= kMaxElements)
      throw Error("INPUT_INVALID", program_.name + ": \"" + buffer.name + "\" would have " +
                                       std::to_string(elements) + " elements" + format_symbols(layout.symbols) + ".");
    const uint64_t bytes = storageBytes(buffer.dtype, 1, elements);
    layout.elements.push_back(elements);
    if (buffer.kind == BufferKind::temporary) slots[buffer.slot] = std::max(slots[buffer.slot], bytes);
  }
  // A sum of sizes that are numbers each may be none: slots are as many as a program says.
  const auto grow = [&](uint64_t& sum, uint64_t bytes) {
    if (bytes > kMaxArenaBytes - sum)
      throw Error("OUT_OF_MEMORY", program_.name + ": the memory of a run is larger than any device's" +
                                       format_symbols(layout.symbols) + ".");
    sum += bytes;
  };
  layout.staged.assign(program_.buffers.size(), Layout::kNotStaged);
  const auto stage = [&](BufferKind kind) {
    for (uint32_t index = 0; index < program_.buffers.size(); index++) {
      const BufferInfo& buffer = program_.buffers[index];
      if (!on_host[index] || buffer.kind != kind) continue;
      layout.staged[index] = layout.staged_bytes;
      grow(layout.staged_bytes, aligned(storageBytes(buffer.dtype, 1, layout.elements[index])));
    }
  };
  stage(BufferKind::input);
  layout.input_bytes = layout.staged_bytes;
  stage(BufferKind::output);
  make_calls(layout);

  uint64_t offset = kSlotGap;
  for (uint64_t bytes : slots) {
    layout.slot_offsets.push_back(offset);
    grow(offset, aligned(bytes) + kSlotGap);
  }
  uint64_t workspace = 0;
  for (const Call& call : layout.calls) {
    const OpEntry& entry = *find_op(call.op);
    if (entry.workspace) workspace = std::max<uint64_t>(workspace, entry.workspace(engine.terms(), call));
    if (entry.gives) layout.bytes_given += entry.gives(call);
  }
  layout.workspace_offset = offset;
  grow(offset, aligned(workspace) + kSlotGap);
  layout.staged_offset = offset;
  grow(offset, layout.staged_bytes);
  layout.arena_bytes = offset;
  find_index_checks(layout, on_host);
  return layout;
}

void Executable::find_index_checks(Layout& layout, const std::vector<bool>& on_host) const {
  // Layers share their index inputs: each is looked through once for each kind of use, which operands and attributes
  // bound.
  std::set<std::tuple<program::Op, std::vector<uint32_t>, std::vector<int64_t>, std::vector<uint32_t>>> seen;
  for (uint32_t i = 0; i < layout.calls.size(); i++) {
    const Call& call = layout.calls[i];
    if (!find_op(call.op)->check_indices) continue;
    std::vector<uint32_t> tensors;
    for (uint32_t tensor : program_.instructions[i].inputs)
      if (const uint32_t buffer = program_.tensors[tensor].buffer;
          on_host[buffer] && program_.buffers[buffer].kind == BufferKind::input)
        tensors.push_back(tensor);
    std::vector<int64_t> sizes;
    for (const Operand& operand : call.in) sizes.insert(sizes.end(), {operand.rows, operand.cols});
    if (!tensors.empty() && seen.insert({call.op, tensors, sizes, program_.instructions[i].attrs}).second)
      layout.index_checks.push_back(i);
  }
}

uint64_t Executable::arena_bytes(const Engine& engine, const glimt_symbol* symbols, uint32_t count) const {
  const std::vector<bool> none(program_.buffers.size(), false);
  return make_layout(engine, evaluate_symbols(symbols, count), none).arena_bytes;
}

void Executable::refuse_binding(const BufferInfo& buffer, const std::vector<int64_t>& symbols,
                                const std::string& found) const {
  static const char* const kKinds[] = {"weight", "state", "input", "output", "temporary"};
  throw Error("INPUT_INVALID", program_.name + ": " + kKinds[static_cast<int>(buffer.kind)] + " \"" + buffer.name +
                                   "\" " + found + ", expected " + dtype_name(buffer.dtype) + "[" +
                                   std::to_string(evaluate(buffer.rows, symbols)) + ", " +
                                   std::to_string(evaluate(buffer.cols, symbols)) + "]" + format_symbols(symbols) +
                                   ".");
}

std::string Executable::format_symbols(const std::vector<int64_t>& symbols) const {
  if (symbols.empty()) return "";
  std::string text;
  for (size_t i = 0; i < symbols.size(); i++)
    text += (i ? ", " : " (") + program_.symbols[i] + "=" + std::to_string(symbols[i]);
  return text + ")";
}

bool Executable::writes(const std::string& buffer) const {
  const auto found = bindable_by_name_.find(buffer);
  return found != bindable_by_name_.end() && program_.buffers[found->second].kind == BufferKind::output;
}

void Executable::bind(const Engine& engine, const glimt_binding* resident, uint32_t count) {
  std::vector<Resident> residents(program_.buffers.size());
  for (uint32_t i = 0; i < count; i++) {
    const auto found = bindable_by_name_.find(resident[i].name);
    const auto refuse = [&](const std::string& reason) {
      throw Error("INPUT_INVALID", program_.name + ": \"" + resident[i].name + "\" " + reason + ".");
    };
    if (found == bindable_by_name_.end()) refuse("is no state, input or output, and can not be bound");
    if (!resident[i].tensor) refuse("is bound to a host array, which can not stay bound");
    const Tensor* tensor = engine.owned(reinterpret_cast<const Tensor*>(resident[i].tensor));
    const BufferInfo& buffer = program_.buffers[found->second];
    const auto expect = [&](bool right) {
      if (right) return;
      const std::string cols = buffer.cols.symbol < 0 ? std::to_string(buffer.cols.add) : "?";
      refuse(std::string("is ") + dtype_name(tensor->dtype) + "[" + std::to_string(tensor->rows) + ", " +
             std::to_string(tensor->cols) + "], expected " + dtype_name(buffer.dtype) + "[?, " + cols + "]");
    };
    expect(tensor->dtype == buffer.dtype);
    expect(buffer.cols.symbol >= 0 || static_cast<uint64_t>(buffer.cols.add) == tensor->cols);
    Resident& bound = residents[found->second];
    bound.tensor = tensor;
    bound.id = tensor->id;
    bound.first_row = resident[i].first_row;
    bound.rows = resident[i].rows;
    if (bound.first_row > tensor->rows || bound.rows > tensor->rows - bound.first_row)
      refuse("is bound to rows outside of its tensor");
  }
  residents_ = std::move(residents);
}

void Executable::bind_rows(const Engine& engine, const Resident& rows, uint32_t index, const Layout& layout,
                           Binding& binding) const {
  const BufferInfo& buffer = program_.buffers[index];
  const auto refuse = [&](const std::string& found) { refuse_binding(buffer, layout.symbols, found); };
  const Tensor& tensor = *engine.owned(rows.tensor, rows.id);
  if (tensor.dtype != buffer.dtype) refuse(std::string("is ") + dtype_name(tensor.dtype));
  if (rows.first_row > tensor.rows || rows.rows > tensor.rows - rows.first_row)
    refuse("is bound to rows outside of its tensor");
  const uint64_t elements = rows.rows * tensor.cols;
  if (elements < layout.elements[index]) refuse("has " + std::to_string(elements) + " elements");
  binding.addresses[index] =
      static_cast<char*>(tensor.data) + storageBytes(tensor.dtype, rows.first_row, tensor.cols);
  append_bytes(binding.key, rows.id);
  append_bytes(binding.key, rows.first_row);
}

void Executable::bind_host(const glimt_binding& bound, uint32_t index, const Layout& layout, Binding& binding) const {
  const BufferInfo& buffer = program_.buffers[index];
  const auto refuse = [&](const std::string& found) { refuse_binding(buffer, layout.symbols, found); };
  if (buffer.kind == BufferKind::state) refuse("is bound to a host array");
  const auto dtype = static_cast<program::DType>(bound.host_dtype);
  const bool halves = element_bytes(dtype) == 2 && element_bytes(buffer.dtype) == 2;
  const bool rounded =
      buffer.kind == BufferKind::input && dtype == program::DType::f32 && element_bytes(buffer.dtype) == 2;
  if (dtype != buffer.dtype && !halves && !rounded)
    refuse(std::string("is ") + (element_bytes(dtype) == 2 ? "bf16 or f16" : dtype_name(dtype)));
  if (bound.host_elements < layout.elements[index])
    refuse("has " + std::to_string(bound.host_elements) + " elements");
  binding.host[index] = bound.host;
  binding.rounded[index] = rounded;
}

void Executable::check_weights(const Engine& engine) {
  if (weights_checked_at_ == engine.frees()) return;
  for (const Held& weight : weights_)
    if (weight.tensor) engine.owned(weight.tensor, weight.id);
  weights_checked_at_ = engine.frees();
}

Layout& Executable::find_layout(const Engine& engine, std::vector<int64_t> symbols, const std::vector<bool>& on_host) {
  std::string key(reinterpret_cast<const char*>(symbols.data()), symbols.size() * sizeof symbols[0]);
  for (uint32_t index : bindable_) key.push_back(on_host[index]);
  const auto known = std::find_if(layouts_.begin(), layouts_.end(), [&](auto& one) { return one.first == key; });
  if (known != layouts_.end()) {
    std::rotate(known, known + 1, layouts_.end());
  } else {
    auto layout = std::make_unique<Layout>(make_layout(engine, std::move(symbols), on_host));
    if (layouts_.size() == kMaxLayouts) layouts_.erase(layouts_.begin());
    layouts_.emplace_back(std::move(key), std::move(layout));
  }
  return *layouts_.back().second;
}

const Layout& Executable::foresee(const Engine& engine, const glimt_symbol* symbols, uint32_t symbol_count,
                                  const char* const* on_device, uint32_t count) {
  std::vector<bool> on_host(program_.buffers.size(), false);
  for (uint32_t index : bindable_)
    on_host[index] = program_.buffers[index].kind != BufferKind::state && !residents_[index].tensor;
  for (uint32_t i = 0; i < count; i++)
    if (const auto found = bindable_by_name_.find(on_device[i]); found != bindable_by_name_.end())
      on_host[found->second] = false;
  return find_layout(engine, evaluate_symbols(symbols, symbol_count), on_host);
}

Layout& Executable::plan(const Engine& engine, const glimt_run_args& args, Binding& binding) {
  check_weights(engine);
  std::vector<int64_t> symbols = evaluate_symbols(args.symbols, args.symbol_count);
  std::vector<const glimt_binding*> given(program_.buffers.size(), nullptr);
  std::vector<bool> on_host(program_.buffers.size(), false);
  for (uint32_t i = 0; i < args.binding_count; i++) {
    const auto found = bindable_by_name_.find(args.bindings[i].name);
    if (found == bindable_by_name_.end()) continue;
    given[found->second] = &args.bindings[i];
    on_host[found->second] = args.bindings[i].tensor == nullptr;
  }
  for (uint32_t index : bindable_)
    if (!given[index] && !residents_[index].tensor)
      refuse_binding(program_.buffers[index], symbols, "is not bound");

  // The latest layout is the last.
  Layout& layout = find_layout(engine, std::move(symbols), on_host);
  binding.addresses = fixed_addresses_;
  binding.host.assign(program_.buffers.size(), nullptr);
  binding.rounded.assign(program_.buffers.size(), false);
  binding.key = layouts_.back().first;
  for (uint32_t index : bindable_) {
    const glimt_binding* bound = given[index];
    if (!bound) {
      bind_rows(engine, residents_[index], index, layout, binding);
    } else if (bound->tensor) {
      Resident rows;
      rows.tensor = engine.owned(reinterpret_cast<const Tensor*>(bound->tensor));
      rows.id = rows.tensor->id;
      rows.first_row = bound->first_row;
      rows.rows = bound->rows;
      bind_rows(engine, rows, index, layout, binding);
    } else {
      bind_host(*bound, index, layout, binding);
    }
  }
  return layout;
}

void Executable::check_indices(Layout& layout, const Binding& binding) const {
  for (uint32_t i : layout.index_checks) {
    Call& call = layout.calls[i];
    call.host.clear();
    for (uint32_t tensor : program_.instructions[i].inputs) {
      const TensorInfo& info = program_.tensors[tensor];
      const auto* host = static_cast<const int32_t*>(binding.host[info.buffer]);
      const BufferInfo& buffer = program_.buffers[info.buffer];
      const bool index = buffer.dtype == program::DType::i32 && buffer.kind == BufferKind::input;
      call.host.push_back(host && index ? host + info.col_offset : nullptr);
    }
    find_op(call.op)->check_indices(call);
  }
}

void Executable::place(const Layout& layout, Binding& binding, void* arena) const {
  char* base = static_cast<char*>(arena);
  for (size_t index = 0; index < program_.buffers.size(); index++) {
    if (layout.staged[index] != Layout::kNotStaged)
      binding.addresses[index] = base + layout.staged_offset + layout.staged[index];
    else if (program_.buffers[index].kind == BufferKind::temporary)
      binding.addresses[index] = base + layout.slot_offsets[program_.buffers[index].slot];
  }
}

void Executable::launch(Layout& layout, const Binding& binding, const KernelContext& context,
                        const glimt_run_args& args, const std::function<void()>& pace) const {
  const auto address = [&](uint32_t tensor) {
    const TensorInfo& info = program_.tensors[tensor];
    return static_cast<char*>(binding.addresses[info.buffer]) +
           storageBytes(program_.buffers[info.buffer].dtype, 1, info.col_offset);
  };
  size_t done = 0;
  for (Call& call : layout.calls) {
    const InstructionInfo& instruction = program_.instructions[done];
    if (pace && done % kPaceInstructions == 0) pace();
    if (args.abort && __atomic_load_n(args.abort, __ATOMIC_RELAXED))
      throw Error("ABORTED", "The operation was aborted.");
    for (size_t i = 0; i < call.in.size(); i++) call.in[i].data = address(instruction.inputs[i]);
    for (size_t i = 0; i < call.out.size(); i++) call.out[i].data = address(instruction.outputs[i]);
    find_op(call.op)->run(context, call);
    done++;
    if (args.progress)
      __atomic_store_n(args.progress, static_cast<int32_t>(1000 * done / layout.calls.size()), __ATOMIC_RELAXED);
  }
}

}  // namespace glimt
