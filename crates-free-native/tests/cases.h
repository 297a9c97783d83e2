// A conformance case as export-cases.ts wrote it, and an engine to run it on.
// A case file: u32 count, then for each case text name, f32 tolerance, block program, weights, symbols, host inputs,
// device buffers with their answers. text and block are u32 length and bytes; a tensor is u32 dtype, rows, cols, a block.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "glimt_engine.h"

class CaseReader {
 public:
  explicit CaseReader(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
  }
  uint32_t u32() { return take<uint32_t>(); }
  float f32() { return take<float>(); }
  std::string block() {
    const uint32_t length = u32();
    std::string data(bytes_.data() + position_, length);
    position_ += length;
    return data;
  }

 private:
  template <class T>
  T take() {
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof value);
    position_ += sizeof value;
    return value;
  }
  std::vector<char> bytes_;
  size_t position_ = 0;
};

struct CaseTensor {
  std::string name;
  uint32_t dtype = 0, rows = 0, cols = 0;
  std::string data, answer;
};

struct Case {
  std::string name, program;
  float tolerance = 0;
  std::vector<CaseTensor> weights, buffers;
  std::vector<std::pair<std::string, uint32_t>> symbols;
  struct Input {
    std::string name;
    uint32_t dtype;
    std::string data;
  };
  std::vector<Input> inputs;
};

inline CaseTensor read_tensor(CaseReader& reader) {
  CaseTensor tensor;
  tensor.name = reader.block();
  tensor.dtype = reader.u32();
  tensor.rows = reader.u32();
  tensor.cols = reader.u32();
  tensor.data = reader.block();
  return tensor;
}

inline Case read_case(CaseReader& reader) {
  Case test;
  test.name = reader.block();
  test.tolerance = reader.f32();
  test.program = reader.block();
  for (uint32_t count = reader.u32(); count > 0; count--) test.weights.push_back(read_tensor(reader));
  for (uint32_t count = reader.u32(); count > 0; count--) {
    std::string name = reader.block();
    test.symbols.emplace_back(std::move(name), reader.u32());
  }
  for (uint32_t count = reader.u32(); count > 0; count--) {
    Case::Input input;
    input.name = reader.block();
    input.dtype = reader.u32();
    input.data = reader.block();
    test.inputs.push_back(std::move(input));
  }
  for (uint32_t count = reader.u32(); count > 0; count--) {
    test.buffers.push_back(read_tensor(reader));
    test.buffers.back().answer = reader.block();
  }
  return test;
}

// A case on an engine: weights uploaded, buffers allocated with guard rows, program loaded. Throws std::string.
class PreparedCase {
 public:
  static constexpr uint32_t kGuardRows = 3;

  PreparedCase(glimt_engine* engine, const Case& test) : engine_(engine), test_(test) {
    try {
      prepare();
    } catch (...) {
      clean();
      throw;
    }
  }
  ~PreparedCase() { clean(); }
  PreparedCase(const PreparedCase&) = delete;

  // As given in `flags`; what lies in the buffers before is the case's own.
  void run(uint32_t flags = 0, const volatile int32_t* abort = nullptr) {
    glimt_run_args args{};
    args.symbols = symbols_.data();
    args.symbol_count = static_cast<uint32_t>(symbols_.size());
    args.bindings = bindings_.data();
    args.binding_count = static_cast<uint32_t>(bindings_.size());
    args.flags = flags;
    args.abort = abort;
    check(glimt_run(engine_, executable_, &args, &error_));
  }

  // All rows of device buffer `index`, guards included.
  std::string read(size_t index) {
    glimt_tensor* tensor = bindings_[test_.inputs.size() + index].tensor;
    std::string found(glimt_tensor_bytes(tensor), 0);
    check(glimt_tensor_read(engine_, tensor, 0, test_.buffers[index].rows + 2 * kGuardRows, found.data(), &error_));
    return found;
  }

 private:
  void prepare() {
    std::vector<glimt_weight> weights;
    for (const CaseTensor& weight : test_.weights) {
      glimt_tensor* tensor = allocate(weight.dtype, weight.rows, weight.cols);
      check(glimt_tensor_write(engine_, tensor, 0, weight.rows, weight.dtype, weight.data.data(), &error_));
      weights.push_back({weight.name.c_str(), tensor});
    }
    for (const auto& [name, value] : test_.symbols) symbols_.push_back({name.c_str(), value});
    for (const auto& input : test_.inputs)
      // An input is only read.
      bindings_.push_back({input.name.c_str(), nullptr, 0, 0, const_cast<char*>(input.data.data()), input.dtype,
                           input.data.size() / (input.dtype == 1 || input.dtype == 2 ? 2 : 4)});
    for (const CaseTensor& buffer : test_.buffers) {
      glimt_tensor* tensor = allocate(buffer.dtype, buffer.rows + 2 * kGuardRows, buffer.cols);
      check(glimt_tensor_write(engine_, tensor, kGuardRows, buffer.rows, buffer.dtype, buffer.data.data(), &error_));
      bindings_.push_back({buffer.name.c_str(), tensor, kGuardRows, buffer.rows, nullptr, 0, 0});
    }
    check(glimt_load(engine_, test_.program.data(), test_.program.size(), weights.data(),
                        static_cast<uint32_t>(weights.size()), &executable_, &error_));
  }
  void check(int status) {
    if (status) throw std::string(error_.code) + ": " + error_.message;
  }
  glimt_tensor* allocate(uint32_t dtype, uint32_t rows, uint32_t cols) {
    glimt_tensor* tensor = nullptr;
    check(glimt_tensor_allocate(engine_, dtype, rows, cols, &tensor, &error_));
    tensors_.push_back(tensor);
    return tensor;
  }
  void clean() {
    if (executable_) glimt_executable_free(engine_, executable_, nullptr);
    for (glimt_tensor* tensor : tensors_) glimt_tensor_free(engine_, tensor, nullptr);
  }

  glimt_engine* engine_;
  const Case& test_;
  glimt_executable* executable_ = nullptr;
  std::vector<glimt_tensor*> tensors_;
  std::vector<glimt_symbol> symbols_;
  std::vector<glimt_binding> bindings_;
  glimt_error error_{};
};
