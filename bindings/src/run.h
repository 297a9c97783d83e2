// The arguments of a run: symbols and buffers by name, as JavaScript gives them and as the C interface wants them.
#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "handles.h"

namespace glimt::addon {

// Holds everything that glimt_run's arguments point at.
class RunArguments {
 public:
  // symbols: [name, value] pairs. bindings: [name, tensor, firstRow, rows], or [name, array] for an input.
  // Arrays are used where they are; `held` keeps them. Throws Failure.
  RunArguments(Napi::Value symbols, Napi::Value bindings, const Engine& engine,
               std::vector<Napi::ObjectReference>& held);
  RunArguments(const RunArguments&) = delete;

  // Points into this object and at the job.
  glimt_run_args native(uint32_t flags, Job& job) const;

 private:
  void add_symbol(Napi::Value pair);
  void add_binding(Napi::Value entry, const Engine& engine, std::vector<Napi::ObjectReference>& held);

  // Names stay where they are: the vectors are reserved.
  std::vector<std::string> names_;
  std::vector<glimt_symbol> symbols_;
  std::vector<glimt_binding> bindings_;
  std::vector<std::shared_ptr<Tensor>> tensors_;
};

}  // namespace glimt::addon
