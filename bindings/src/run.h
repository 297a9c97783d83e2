// The arguments of a run: symbols and buffers by name, as JavaScript gives them and as the C interface wants them.
#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "handles.h"
#include "host_array.h"

namespace glimt::addon {

// [name, value, ...] as JavaScript gives it.
struct Entry {
  std::string name;
  std::vector<Napi::Value> values;
};

// Reads a list of entries, each element once. A getter or a proxy may run JavaScript meanwhile, so that nothing native
// is to be taken out of the values before all are read. Throws Failure, which calls an entry `what`.
std::vector<Entry> entries_of(Napi::Value list, const char* what);

// Buffers and what they are bound to; holds everything that the C interface's bindings point at.
class Bindings {
 public:
  // [name, tensor, firstRow, rows] each, or [name, array]. Throws Failure.
  Bindings(Napi::Value list, const Executable& executable);
  Bindings(const Bindings&) = delete;

  const glimt_binding* data() const { return bindings_.data(); }
  uint32_t size() const { return static_cast<uint32_t>(bindings_.size()); }
  std::vector<std::shared_ptr<Tensor>> tensors() const { return tensors_; }
  // Fills the arrays that are bound to outputs. Throws Failure.
  void hand_out_outputs() const;

 private:
  struct Output {
    const char* name;
    std::shared_ptr<HostArray> array;
  };

  void add(const Entry& entry, const std::string& name, const Executable& executable);

  std::vector<std::string> names_;
  std::vector<glimt_binding> bindings_;
  std::vector<std::shared_ptr<Tensor>> tensors_;
  std::vector<std::shared_ptr<HostArray>> arrays_;
  std::vector<Output> outputs_;
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
  RunArguments(Napi::Value symbols, Napi::Value bindings, const Executable& executable)
      : symbols_(symbols), bindings_(bindings, executable) {}

  // Points into this object and at the job.
  glimt_run_args native(uint32_t flags, Job& job) const;
  // After a run that went well. Throws Failure.
  void hand_out_outputs() const { bindings_.hand_out_outputs(); }

 private:
  Symbols symbols_;
  Bindings bindings_;
};

}  // namespace glimt::addon
