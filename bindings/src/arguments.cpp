#include "arguments.h"

#include <exception>
#include <sstream>

#include "handles.h"

namespace glimt::addon {

namespace {

constexpr double kMaxCode = 4294967295.0, kMaxSize = 9007199254740991.0;

bool is_whole(Napi::Value value, double limit) {
  if (!value.IsNumber()) return false;
  const double number = value.As<Napi::Number>().DoubleValue();
  return number >= 0 && number <= limit && number == static_cast<double>(static_cast<uint64_t>(number));
}

bool fits(const std::string& kind, Napi::Value value) {
  if (kind == "engine") return is_wrapped<Engine>(value);
  if (kind == "tensor") return is_wrapped<Tensor>(value);
  if (kind == "executable") return is_wrapped<Executable>(value);
  if (kind == "code") return is_whole(value, kMaxCode);
  if (kind == "size") return is_size(value);
  if (kind == "bytes") return value.IsTypedArray();
  // Their elements are checked where they are read.
  if (kind == "weights" || kind == "symbols" || kind == "bindings" || kind == "names") return value.IsArray();
  if (kind == "group") return value.IsNull() || value.IsArray();
  return false;
}

void check_arguments(const Napi::CallbackInfo& info, const Export& entry) {
  std::istringstream kinds(entry.signature);
  std::string kind;
  size_t index = 0;
  for (; kinds >> kind && kind != "->"; index++) {
    if (index < info.Length() && fits(kind, info[index])) continue;
    throw Failure("INPUT_INVALID", std::string(entry.name) + "(" + entry.signature + "): argument " +
                                       std::to_string(index + 1) + " is no " + kind + ".");
  }
  if (index != info.Length())
    throw Failure("INPUT_INVALID", std::string(entry.name) + "(" + entry.signature + ") was given " +
                                       std::to_string(info.Length()) + " arguments.");
}

Napi::Value checked_call(const Napi::CallbackInfo& info) {
  const auto& entry = *static_cast<const Export*>(info.Data());
  try {
    check_arguments(info, entry);
    return entry.call(info);
  } catch (const Failure& failure) {
    throw failure.to_js(info.Env());
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Failure("OUT_OF_MEMORY", std::string(entry.name) + ": " + error.what() + ".").to_js(info.Env());
  }
}

}  // namespace

Napi::Function make_function(Napi::Env env, const Export& entry) {
  return Napi::Function::New(env, checked_call, entry.name, const_cast<Export*>(&entry));
}

bool is_size(Napi::Value value) { return is_whole(value, kMaxSize); }

Bytes bytes_of(Napi::Value value) {
  void* data = nullptr;
  // Asked now: an array that was made of the value earlier may have been transferred or resized since.
  const auto array = value.As<Napi::TypedArray>();
  size_t length = 0;
  if (napi_get_typedarray_info(value.Env(), value, nullptr, &length, &data, nullptr, nullptr) != napi_ok)
    throw Napi::Error::New(value.Env());
  return {data, data ? static_cast<uint64_t>(length) * array.ElementSize() : 0};
}

}  // namespace glimt::addon
