#include "run.h"

#include <cmath>

#include "arguments.h"
#include "glimt_program.gen.h"

namespace glimt::addon {

namespace {

using program::DType;

Napi::Array tuple_of(Napi::Value value, const char* what, uint32_t fewest) {
  if (value.IsArray()) {
    auto tuple = value.As<Napi::Array>();
    if (tuple.Length() >= fewest && tuple.Get(uint32_t{0}).IsString()) return tuple;
  }
  throw Failure("INPUT_INVALID", std::string(what) + " is no entry that starts with a name.");
}

std::string name_of(Napi::Array tuple) { return tuple.Get(uint32_t{0}).As<Napi::String>().Utf8Value(); }

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

Symbols::Symbols(Napi::Value list) {
  auto pairs = list.As<Napi::Array>();
  names_.reserve(pairs.Length());
  for (uint32_t i = 0; i < pairs.Length(); i++) {
    auto tuple = tuple_of(pairs.Get(i), "A symbol", 2);
    const Napi::Value value = tuple.Get(1);
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
    names_.push_back(name_of(tuple));
    if (!(std::abs(number) <= 9007199254740991.0) || number != std::trunc(number))
      throw Failure("INPUT_INVALID", "Symbol \"" + names_.back() + "\" is no whole number.");
    symbols_.push_back({names_.back().c_str(), static_cast<int64_t>(number)});
  }
}

Bindings::Bindings(Napi::Value list, const Engine& engine, std::vector<Napi::ObjectReference>& held) {
  auto entries = list.As<Napi::Array>();
  names_.reserve(entries.Length());
  for (uint32_t i = 0; i < entries.Length(); i++) add(entries.Get(i), engine, held);
}

void Bindings::add(Napi::Value entry, const Engine& engine, std::vector<Napi::ObjectReference>& held) {
  auto tuple = tuple_of(entry, "A binding", 2);
  names_.push_back(name_of(tuple));
  glimt_binding binding{};
  binding.name = names_.back().c_str();
  const Napi::Value bound = tuple.Get(1);
  if (is_wrapped<Tensor>(bound) && tuple.Length() == 4) {
    const auto& tensor = unwrap<Tensor>(bound);
    if (tensor->engine.get() != &engine) throw Failure("DISPOSED", "\"" + names_.back() + "\" is bound to a tensor of another engine.");
    const Napi::Value first = tuple.Get(2), rows = tuple.Get(3);
    const auto is_row = [](Napi::Value value) { return value.IsNumber() && value.As<Napi::Number>().DoubleValue() >= 0; };
    if (!is_row(first) || !is_row(rows)) throw Failure("INPUT_INVALID", "\"" + names_.back() + "\" is bound to rows that do not exist.");
    binding.tensor = tensor->live();
    binding.first_row = addon::size_of(first);
    binding.rows = addon::size_of(rows);
    tensors_.push_back(tensor);
  } else if (bound.IsTypedArray() && tuple.Length() == 2) {
    auto array = bound.As<Napi::TypedArray>();
    binding.host_dtype = static_cast<uint32_t>(dtype_of(array, names_.back()));
    // An empty array may have no address, which would read as no binding at all.
    static char nothing = 0;
    void* data = bytes_of(bound).data;
    binding.host = array.ElementLength() > 0 ? data : &nothing;
    binding.host_elements = array.ElementLength();
    held.push_back(Napi::Persistent(bound.As<Napi::Object>()));
  } else {
    throw Failure("INPUT_INVALID", "\"" + names_.back() + "\" is bound to neither a tensor nor an array.");
  }
  bindings_.push_back(binding);
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
