#include "run.h"

#include <cmath>

#include "arguments.h"
#include "glimt_program.gen.h"

namespace glimt::addon {

namespace {

using program::DType;

// A Proxy may claim any length; no program has so many buffers, symbols or weights.
constexpr uint32_t kMostElements = 1 << 20;

// Arrays of 16-bit patterns serve for bf16 and f16 alike.
DType dtype_of(Napi::TypedArray array, const std::string& name) {
  switch (array.TypedArrayType()) {
    case napi_float32_array:
      return DType::f32;
    case napi_int32_array:
      return DType::i32;
    case napi_uint16_array:
      return DType::bf16;
    default:
      throw Failure("INPUT_INVALID", "\"" + name + "\" is bound to an array that is no Float32Array, Int32Array or Uint16Array.");
  }
}

}  // namespace

std::vector<Entry> entries_of(Napi::Value list, const char* what) {
  const auto elements_of = [what](Napi::Value value) {
    const auto array = value.As<Napi::Array>();
    const uint32_t length = array.Length();
    if (length > kMostElements) throw Failure("INPUT_INVALID", std::string(what) + " is one of " + std::to_string(length) + ".");
    std::vector<Napi::Value> elements(length);
    for (uint32_t i = 0; i < length; i++) elements[i] = array.Get(i);
    return elements;
  };
  std::vector<Entry> entries;
  for (const Napi::Value& element : elements_of(list)) {
    std::vector<Napi::Value> values;
    if (element.IsArray()) values = elements_of(element);
    if (values.empty() || !values[0].IsString())
      throw Failure("INPUT_INVALID", std::string(what) + " is no entry that starts with a name.");
    entries.push_back({values[0].As<Napi::String>().Utf8Value(), {values.begin() + 1, values.end()}});
  }
  return entries;
}

Symbols::Symbols(Napi::Value list) {
  std::vector<Entry> entries = entries_of(list, "A symbol");
  names_.reserve(entries.size());
  for (Entry& entry : entries) {
    const bool is_number = entry.values.size() == 1 && entry.values[0].IsNumber();
    const double number = is_number ? entry.values[0].As<Napi::Number>().DoubleValue() : NAN;
    names_.push_back(std::move(entry.name));
    if (!(std::abs(number) <= 9007199254740991.0) || number != std::trunc(number))
      throw Failure("INPUT_INVALID", "Symbol \"" + names_.back() + "\" is no whole number.");
    symbols_.push_back({names_.back().c_str(), static_cast<int64_t>(number)});
  }
}

Bindings::Bindings(Napi::Value list, const Executable& executable) {
  std::vector<Entry> entries = entries_of(list, "A binding");
  executable.engine->live();
  // Names stay where they are, since others point at them.
  names_.reserve(entries.size());
  for (Entry& entry : entries) {
    names_.push_back(std::move(entry.name));
    add(entry, names_.back(), executable);
  }
}

void Bindings::add(const Entry& entry, const std::string& name, const Executable& executable) {
  const std::vector<Napi::Value>& values = entry.values;
  glimt_binding binding{};
  binding.name = name.c_str();
  if (values.size() == 3 && is_wrapped<Tensor>(values[0])) {
    const auto& tensor = unwrap<Tensor>(values[0]);
    if (tensor->engine != executable.engine) throw Failure("DISPOSED", "\"" + name + "\" is bound to a tensor of another engine.");
    if (!is_size(values[1]) || !is_size(values[2]))
      throw Failure("INPUT_INVALID", "\"" + name + "\" is bound to rows that do not exist.");
    binding.tensor = tensor->live();
    binding.first_row = addon::size_of(values[1]);
    binding.rows = addon::size_of(values[2]);
    tensors_.push_back(tensor);
  } else if (values.size() == 1 && values[0].IsTypedArray()) {
    const auto array = values[0].As<Napi::TypedArray>();
    binding.host_dtype = static_cast<uint32_t>(dtype_of(array, name));
    arrays_.push_back(HostArray::copy_of(array));
    binding.host = arrays_.back()->data();
    binding.host_elements = arrays_.back()->size() / array.ElementSize();
    if (glimt_executable_writes(executable.native, binding.name)) outputs_.push_back({binding.name, arrays_.back()});
  } else {
    throw Failure("INPUT_INVALID", "\"" + name + "\" is bound to neither a tensor nor an array.");
  }
  bindings_.push_back(binding);
}

void Bindings::hand_out_outputs() const {
  for (const Output& output : outputs_) output.array->hand_out(output.name);
}

glimt_run_args RunArguments::native(uint32_t flags, Job& job) const {
  static_assert(sizeof(std::atomic<int32_t>) == sizeof(int32_t) && std::atomic<int32_t>::is_always_lock_free);
  glimt_run_args arguments{};
  arguments.symbols = symbols_.data();
  arguments.symbol_count = symbols_.size();
  arguments.bindings = bindings_.data();
  arguments.binding_count = bindings_.size();
  arguments.flags = flags;
  arguments.abort = reinterpret_cast<const volatile int32_t*>(&job.abort);
  arguments.progress = reinterpret_cast<volatile int32_t*>(&job.progress);
  return arguments;
}

}  // namespace glimt::addon
