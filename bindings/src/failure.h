// What goes wrong below JavaScript: a stable code (one of src/errors.ts) and a message.
#pragma once
#include <napi.h>

#include <stdexcept>
#include <string>

#include "glimt_engine.h"

namespace glimt::addon {

class Failure : public std::runtime_error {
 public:
  Failure(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  explicit Failure(const glimt_error& error) : Failure(error.code, error.message) {}
  const std::string& code() const { return code_; }

  // The JavaScript error { code, message }.
  Napi::Error to_js(Napi::Env env) const {
    auto error = Napi::Error::New(env, what());
    error.Set("code", Napi::String::New(env, code_));
    return error;
  }

 private:
  std::string code_;
};

inline Failure disposed() { return {"DISPOSED", "The engine was disposed of."}; }

// Calls a function of the C interface: `must(glimt_engine_trim, engine)`. Throws Failure.
template <class Function, class... Arguments>
void must(Function function, Arguments... arguments) {
  glimt_error error{};
  if (function(arguments..., &error) != 0) throw Failure(error);
}

}  // namespace glimt::addon
