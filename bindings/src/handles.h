// Native things that JavaScript holds: opaque objects with a type tag, so that a wrong one is an error, not a crash.
#pragma once
#include <napi.h>

#include <memory>
#include <type_traits>
#include <vector>

#include "engine.h"

namespace glimt::addon {

// Device memory. Freed on demand, or when neither JavaScript nor an executable nor a run holds it any more.
struct Tensor {
  static constexpr napi_type_tag kTag = {0x676c696d74746e73, 0x8d1f0b2a94c7e651};

  std::shared_ptr<Engine> engine;
  glimt_tensor* native;
  uint32_t dtype;
  uint64_t rows, cols;

  Tensor(std::shared_ptr<Engine> owner, glimt_tensor* memory, uint32_t type, uint64_t row_count, uint64_t col_count)
      : engine(std::move(owner)), native(memory), dtype(type), rows(row_count), cols(col_count) {}
  Tensor(const Tensor&) = delete;
  ~Tensor() { release(); }

  glimt_tensor* live() const {
    if (!engine->open()) throw disposed();
    if (!native) throw Failure("DISPOSED", "The tensor was freed.");
    return native;
  }
  void release() {
    if (native) engine->release(native);
    native = nullptr;
  }
};

struct Executable {
  static constexpr napi_type_tag kTag = {0x676c696d74657865, 0x3ac05fd2e8719b44};

  std::shared_ptr<Engine> engine;
  glimt_executable* native;
  // Held for its runs.
  std::vector<std::shared_ptr<Tensor>> weights, residents;

  Executable(std::shared_ptr<Engine> owner, glimt_executable* program, std::vector<std::shared_ptr<Tensor>> bound)
      : engine(std::move(owner)), native(program), weights(std::move(bound)) {}
  Executable(const Executable&) = delete;
  ~Executable() { engine->release(native); }
};

template <class T>
Napi::Object wrap(Napi::Env env, std::shared_ptr<T> value) {
  auto object = Napi::Object::New(env);
  auto held = std::make_unique<std::shared_ptr<T>>(std::move(value));
  const auto finalize = [](napi_env, void* data, void*) {
    std::unique_ptr<std::shared_ptr<T>> dropped(static_cast<std::shared_ptr<T>*>(data));
    // An engine's thread holds it too, and would go on waiting for work that nobody can give it.
    if constexpr (std::is_same_v<T, Engine>) (*dropped)->request_stop();
  };
  if (napi_wrap(env, object, held.get(), finalize, nullptr, nullptr) != napi_ok) throw Napi::Error::New(env);
  held.release();
  object.TypeTag(&T::kTag);
  return object;
}

// Whether `value` was made by `wrap<T>`.
template <class T>
bool is_wrapped(Napi::Value value) {
  return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&T::kTag);
}

// The value must have been checked with `is_wrapped`.
template <class T>
const std::shared_ptr<T>& unwrap(Napi::Value value) {
  void* data = nullptr;
  if (napi_unwrap(value.Env(), value, &data) != napi_ok) throw Napi::Error::New(value.Env());
  return *static_cast<std::shared_ptr<T>*>(data);
}

}  // namespace glimt::addon
