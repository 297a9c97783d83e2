// The arguments of a run: symbols and buffers by name, as JavaScript gives them and as the C interface wants them.
#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "handles.h"

namespace glimt::addon {

// Buffers and what they are bound to; holds everything that the C interface's bindings point at.
class Bindings {
 public:
  // [name, tensor, firstRow, rows] each, or [name, array]. Arrays are used where they are; `held` keeps them. Throws
  // Failure.
  Bindings(Napi::Value list, const Engine& engine, std::vector<Napi::ObjectReference>& held);
  Bindings(const Bindings&) = delete;

  const glimt_binding* data() const { return bindings_.data(); }
  uint32_t size() const { return static_cast<uint32_t>(bindings_.size()); }
  std::vector<std::shared_ptr<Tensor>> tensors() const { return tensors_; }

 private:
  void add(Napi::Value entry, const Engine& engine, std::vector<Napi::ObjectReference>& held);

  // Names stay where they are: the vector is reserved.
  std::vector<std::string> names_;
  std::vector<glimt_binding> bindings_;
  std::vector<std::shared_ptr<Tensor>> tensors_;
};

// Values of symbols: [name, value] each. Holds the names.
class Symbols {
 public:
  // Throws Failure.
  explicit Symbols(Napi::Value list);
  Symbols(const Symbols&) = delete;

  const glimt_symbol* data() const { return symbols_.data(); }
  uint32_t size() const { return static_cast<uint32_t>(symbols_.size()); }

 private:
  std::vector<std::string> names_;
  std::vector<glimt_symbol> symbols_;
};

// Holds everything that glimt_run's arguments point at.
class RunArguments {
 public:
  // Throws Failure.
  RunArguments(Napi::Value symbols, Napi::Value bindings, const Engine& engine,
               std::vector<Napi::ObjectReference>& held)
      : symbols_(symbols), bindings_(bindings, engine, held) {}

  // Points into this object and at the job.
  glimt_run_args native(uint32_t flags, Job& job) const;

 private:
  Symbols symbols_;
  Bindings bindings_;
};

}  // namespace glimt::addon
