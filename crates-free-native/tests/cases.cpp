// Runs the exported conformance cases (export-cases.ts) through the C interface and compares with the reference
// backend's answers: cases FOLDER [part of a file name] [--schedule N] [--case part of a name].
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "glimt_engine.h"
#include "host_floats.h"

namespace {

// A case file: u32 count, then for each case text name, f32 tolerance, block program, weights, symbols, host inputs,
// device buffers. text and block are u32 length and bytes; a tensor is u32 dtype, rows, cols and a block.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) {
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

struct Tensor {
  std::string name;
  uint32_t dtype, rows, cols;
  std::string data;
};

Tensor read_tensor(Reader& reader) {
  Tensor tensor;
  tensor.name = reader.block();
  tensor.dtype = reader.u32();
  tensor.rows = reader.u32();
  tensor.cols = reader.u32();
  tensor.data = reader.block();
  return tensor;
}

constexpr uint32_t kGuardRows = 3;

std::string compare(const Tensor& expected, const std::string& found, float tolerance) {
  const size_t count = size_t{expected.rows} * expected.cols;
  if (expected.dtype == 3) {
    for (size_t i = 0; i < count; i++) {
      int32_t a, b;
      std::memcpy(&a, expected.data.data() + i * 4, 4);
      std::memcpy(&b, found.data() + i * 4, 4);
      if (a != b) return "[" + std::to_string(i) + "] is " + std::to_string(b) + ", expected " + std::to_string(a);
    }
    return "";
  }
  double squares = 0;
  size_t finite = 0;
  for (size_t i = 0; i < count; i++) {
    const double value = host_float(expected.dtype, expected.data.data(), i);
    if (std::isfinite(value)) squares += value * value, finite++;
  }
  const double rms = std::sqrt(squares / static_cast<double>(std::max<size_t>(1, finite)));
  for (size_t i = 0; i < count; i++) {
    const double a = host_float(expected.dtype, expected.data.data(), i), b = host_float(expected.dtype, found.data(), i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double relative = std::fabs(a - b) / std::max(std::fabs(a), rms);
    if (std::isfinite(a) && std::isfinite(b) && relative <= tolerance) continue;
    char text[128];
    std::snprintf(text, sizeof text, "[%zu] is %g, expected %g (rms %g)", i, b, a, rms);
    return text;
  }
  return "";
}

class Runner {
 public:
  Runner() { check(glimt_engine_create(nullptr, &engine_, &error_)); }
  ~Runner() { glimt_engine_destroy(engine_); }

  // What is wrong, or nothing.
  std::string run(Reader& reader, bool skip) {
    std::string program = reader_program(reader);
    std::vector<Tensor> weights, buffers, answers;
    for (uint32_t count = reader.u32(); count > 0; count--) weights.push_back(read_tensor(reader));
    std::vector<std::string> names;
    std::vector<glimt_symbol> symbols;
    const uint32_t symbol_count = reader.u32();
    names.reserve(symbol_count);
    for (uint32_t i = 0; i < symbol_count; i++) {
      names.push_back(reader.block());
      symbols.push_back({names.back().c_str(), reader.u32()});
    }
    struct Input {
      std::string name;
      uint32_t dtype;
      std::string data;
    };
    std::vector<Input> inputs(reader.u32());
    for (auto& input : inputs) {
      input.name = reader.block();
      input.dtype = reader.u32();
      input.data = reader.block();
    }
    for (uint32_t count = reader.u32(); count > 0; count--) {
      buffers.push_back(read_tensor(reader));
      answers.push_back(buffers.back());
      answers.back().data = reader.block();
    }
    if (skip) return "";

    try {
      std::vector<glimt_weight> bound;
      for (const Tensor& weight : weights) {
        glimt_tensor* tensor = allocate(weight.dtype, weight.rows, weight.cols);
        check(glimt_tensor_write(engine_, tensor, 0, weight.rows, weight.dtype, weight.data.data(), &error_));
        bound.push_back({weight.name.c_str(), tensor});
      }
      std::vector<glimt_binding> bindings;
      for (const Input& input : inputs)
        bindings.push_back({input.name.c_str(), nullptr, 0, 0, input.data.data(), input.dtype,
                            input.data.size() / (input.dtype == 1 || input.dtype == 2 ? 2 : 4)});
      for (const Tensor& buffer : buffers) {
        glimt_tensor* tensor = allocate(buffer.dtype, buffer.rows + 2 * kGuardRows, buffer.cols);
        check(glimt_tensor_write(engine_, tensor, kGuardRows, buffer.rows, buffer.dtype, buffer.data.data(), &error_));
        bindings.push_back({buffer.name.c_str(), tensor, kGuardRows, buffer.rows, nullptr, 0, 0});
      }
      check(glimt_compile(engine_, program.data(), program.size(), bound.data(), bound.size(), &executable_, &error_));
      // Twice eagerly and once captured: results must not depend on what scratch memory held, nor on the way.
      glimt_run_args args{};
      args.symbols = symbols.data();
      args.symbol_count = symbol_count;
      args.bindings = bindings.data();
      args.binding_count = static_cast<uint32_t>(bindings.size());
      check(glimt_run(engine_, executable_, &args, &error_));
      std::string failure;
      for (size_t i = 0; i < buffers.size() && failure.empty(); i++) {
        glimt_tensor* tensor = bindings[inputs.size() + i].tensor;
        std::string found(glimt_tensor_bytes(tensor), 0);
        check(glimt_tensor_read(engine_, tensor, 0, buffers[i].rows + 2 * kGuardRows, found.data(), &error_));
        const size_t row = found.size() / (buffers[i].rows + 2 * kGuardRows), guard = kGuardRows * row;
        const auto zero = [](char byte) { return byte == 0; };
        if (!std::all_of(found.begin(), found.begin() + guard, zero) || !std::all_of(found.end() - guard, found.end(), zero))
          failure = buffers[i].name + ": wrote outside";
        else if (std::string what = compare(answers[i], found.substr(guard, found.size() - 2 * guard), tolerance_); !what.empty())
          failure = buffers[i].name + what;
      }
      clean();
      return failure;
    } catch (const std::string& failure) {
      clean();
      return failure;
    }
  }

  std::string name() const { return name_; }

 private:
  std::string reader_program(Reader& reader) {
    name_ = reader.block();
    tolerance_ = reader.f32();
    return reader.block();
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
    executable_ = nullptr;
    tensors_.clear();
  }

  glimt_engine* engine_ = nullptr;
  glimt_executable* executable_ = nullptr;
  std::vector<glimt_tensor*> tensors_;
  glimt_error error_{};
  std::string name_;
  float tolerance_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return std::fprintf(stderr, "cases FOLDER [file part] [--schedule N] [--case part]\n"), 2;
  std::string file_part, case_part;
  for (int i = 2; i < count; i++) {
    if (!std::strcmp(arguments[i], "--schedule"))
      glimt_emulator_schedule(std::atoi(arguments[++i]), 7, nullptr);
    else if (!std::strcmp(arguments[i], "--case"))
      case_part = arguments[++i];
    else
      file_part = arguments[i];
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(arguments[1]))
    if (entry.path().filename().string().find(file_part) != std::string::npos) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  int failed = 0, total = 0;
  Runner runner;
  for (const auto& path : files) {
    Reader reader(path);
    int failed_here = 0;
    const uint32_t cases = reader.u32();
    for (uint32_t i = 0; i < cases; i++) {
      // The name is read inside; a case that is not wanted is read all the same.
      Reader ahead = reader;
      const bool skip = ahead.block().find(case_part) == std::string::npos;
      const std::string failure = runner.run(reader, skip);
      if (!skip) total++;
      if (failure.empty()) continue;
      if (failed_here++ < 5)
        std::printf("FAIL %s: %s: %s\n", path.filename().c_str(), runner.name().c_str(), failure.c_str());
    }
    if (failed_here) std::printf("%s: %d of %u failed\n", path.filename().c_str(), failed_here, cases);
    failed += failed_here;
  }
  std::printf("%d cases, %d failed\n", total, failed);
  return failed || !total ? 1 : 0;
}
