// The module: its functions, and what the loader asks of it before it calls any.
#include <napi.h>

#include "arguments.h"
#include "environment.h"
#include "glimt_engine.h"

namespace glimt::addon {

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object module) {
  Environment::install(env);
  module["kind"] = Napi::String::New(env, glimt_backend_kind());
  module["programVersion"] = Napi::Number::New(env, glimt_program_version());
  auto signatures = Napi::Object::New(env);
  for (const Export& entry : exports()) {
    module[entry.name] = make_function(env, entry);
    signatures[entry.name] = Napi::String::New(env, entry.signature);
  }
  module["signatures"] = signatures;
  return module;
}

}  // namespace

}  // namespace glimt::addon

static Napi::Object Init(Napi::Env env, Napi::Object module) { return glimt::addon::initialise(env, module); }
NODE_API_MODULE(glimt, Init)
