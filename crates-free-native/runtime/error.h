// The exception behind every failure; `code` is one of src/errors.ts.
#pragma once
#include <stdexcept>
#include <string>

namespace glimt {

class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;
};

}  // namespace glimt
