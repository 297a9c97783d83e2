// The addon's functions by name and signature; arguments are checked against the signature before a call.
#pragma once
#include <napi.h>

#include <string>
#include <vector>

#include "failure.h"

namespace glimt::addon {

struct Export {
  const char* name;
  // Kinds of the arguments, "->", kind of the result ("later KIND" for a promise). src/backends/cuda/addon.ts has the
  // same text and derives the TypeScript types from it; the loader compares the two.
  const char* signature;
  // Throws Failure. The arguments fit the signature.
  Napi::Value (*call)(const Napi::CallbackInfo& info);
};

// exports.cpp
const std::vector<Export>& exports();

// The JavaScript function of an export.
Napi::Function make_function(Napi::Env env, const Export& entry);

// Arguments of the kinds they are named after.
inline uint32_t code_of(Napi::Value value) { return value.As<Napi::Number>().Uint32Value(); }
// A whole number that JavaScript's numbers hold exactly.
bool is_size(Napi::Value value);
inline uint64_t size_of(Napi::Value value) { return static_cast<uint64_t>(value.As<Napi::Number>().DoubleValue()); }

// What an array holds at this moment; a transferred one holds nothing.
struct Bytes {
  void* data;
  uint64_t size;
};
Bytes bytes_of(Napi::Value value);

}  // namespace glimt::addon
