// Runs the exported conformance cases (export-cases.ts) through the C interface and compares with the reference
// backend's answers:
//   cases FOLDER [part of a file name] [--case part of a name]... [--kernels | --kernel OP:NAME] [--graph]
//     [--schedule N] [--multiprocessors N]
// --kernels: each case by the kernel that its op takes, then by each other one that fits it (kernels/candidates.h).
// --kernel: only the cases that this kernel fits, by it alone.
// --graph: each case runs eagerly, captured and replayed, and the replay is compared.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "cases.h"
#include "executor/engine.h"
#include "glimt_float.h"
#include "runtime/error.h"

namespace {

std::string compare(const CaseTensor& expected, const std::string& found, float tolerance) {
  const size_t count = size_t{expected.rows} * expected.cols;
  if (expected.dtype == 3) {
    for (size_t i = 0; i < count; i++) {
      int32_t a, b;
      std::memcpy(&a, expected.answer.data() + i * 4, 4);
      std::memcpy(&b, found.data() + i * 4, 4);
      if (a != b) return "[" + std::to_string(i) + "] is " + std::to_string(b) + ", expected " + std::to_string(a);
    }
    return "";
  }
  const auto format = static_cast<glimt::program::DType>(expected.dtype);
  double squares = 0;
  size_t finite = 0;
  for (size_t i = 0; i < count; i++) {
    const double value = glimt::loadFloat(format, expected.answer.data(), i);
    if (std::isfinite(value)) squares += value * value, finite++;
  }
  const double rms = std::sqrt(squares / static_cast<double>(std::max<size_t>(1, finite)));
  for (size_t i = 0; i < count; i++) {
    const double a = glimt::loadFloat(format, expected.answer.data(), i), b = glimt::loadFloat(format, found.data(), i);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    const double relative = std::fabs(a - b) / std::max(std::fabs(a), rms);
    if (std::isfinite(a) && std::isfinite(b) && relative <= tolerance) continue;
    char text[128];
    std::snprintf(text, sizeof text, "[%zu] is %g, expected %g (rms %g)", i, b, a, rms);
    return text;
  }
  return "";
}

// What is wrong with the results, or nothing.
std::string judge(PreparedCase& prepared, const Case& test) {
  for (size_t i = 0; i < test.buffers.size(); i++) {
    const CaseTensor& buffer = test.buffers[i];
    const std::string found = prepared.read(i);
    const size_t guard = PreparedCase::kGuardRows * (found.size() / (buffer.rows + 2 * PreparedCase::kGuardRows));
    const auto zero = [](char byte) { return byte == 0; };
    if (!std::all_of(found.begin(), found.begin() + guard, zero) || !std::all_of(found.end() - guard, found.end(), zero))
      return buffer.name + ": wrote outside";
    const std::string what = compare(buffer, found.substr(guard, found.size() - 2 * guard), test.tolerance);
    if (!what.empty()) return buffer.name + what;
  }
  return "";
}

// Runs and judges cases on one engine, by whatever kernel it takes or by given ones.
class Judge {
 public:
  Judge(glimt_engine* engine, bool graph)
      : engine_(engine), graph_(graph), terms_(reinterpret_cast<glimt::Engine*>(engine)->terms()) {}

  // What is wrong with the results, or nothing.
  std::string run(const Case& test) {
    first_.reset();
    terms_.watch = [this](const glimt::KernelDecision& decision) {
      if (!first_) first_ = decision;
    };
    return run_and_compare(test);
  }

  // The same by every other kernel that fitted the op in the last `run`.
  std::string run_others(const Case& test, int& runs) {
    if (!first_) return "";
    const glimt::KernelDecision decision = *first_;
    for (const char* name : decision.fitting) {
      if (!std::strcmp(name, decision.taken)) continue;
      const std::string failure = run_by(test, std::string(decision.op) + ":" + name);
      runs++;
      if (!failure.empty()) return failure;
    }
    return "";
  }

  // By `kernel`, an "op:name"; nothing is run, and nothing returned, when it does not fit.
  std::optional<std::string> run_if_fits(const Case& test, const std::string& kernel) {
    const std::string failure = run_by(test, kernel);
    if (!first_ || failure.find(kNotTaken) != std::string::npos) return std::nullopt;
    return failure;
  }

 private:
  static constexpr const char* kNotTaken = "NOT_TAKEN";

  std::string run_by(const Case& test, const std::string& kernel) {
    first_.reset();
    terms_.watch = [&](const glimt::KernelDecision& decision) {
      const std::string op = std::string(decision.op) + ":";
      if (!kernel.starts_with(op)) return;
      if (kernel != op + decision.taken) throw glimt::Error(kNotTaken, op + decision.taken + " was");
      first_ = decision;
    };
    terms_.preferred.clear();
    glimt::prefer(terms_, kernel);
    const std::string failure = run_and_compare(test);
    terms_.preferred.clear();
    return failure.empty() ? "" : std::string("by ").append(kernel).append(": ").append(failure);
  }

  std::string run_and_compare(const Case& test) {
    try {
      PreparedCase prepared(engine_, test);
      prepared.run();
      // Eager once more would warm up, then comes the capture, then the replay.
      if (graph_)
        for (int i = 0; i < 2; i++) prepared.run(GLIMT_RUN_GRAPH);
      return judge(prepared, test);
    } catch (const std::string& failure) {
      return failure;
    }
  }

  glimt_engine* engine_;
  bool graph_;
  glimt::KernelTerms& terms_;
  // The decision about the case's op, which comes before those of what it is made of.
  std::optional<glimt::KernelDecision> first_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 2)
    return std::fprintf(stderr, "cases FOLDER [file part] [--case part]... [--kernels | --kernel op:name] [--graph] "
                                "[--schedule N] [--multiprocessors N]\n"),
           2;
  std::string file_part, kernel;
  std::vector<std::string> case_parts;
  bool graph = false, kernels = false;
  for (int i = 2; i < count; i++) {
    const std::string argument = arguments[i];
    if (argument == "--schedule")
      glimt_emulator_schedule(std::atoi(arguments[++i]), 7, nullptr);
    else if (argument == "--multiprocessors")
      glimt_emulator_multiprocessors(std::atoi(arguments[++i]), nullptr);
    else if (argument == "--case")
      case_parts.push_back(arguments[++i]);
    else if (argument == "--graph")
      graph = true;
    else if (argument == "--kernels")
      kernels = true;
    else if (argument == "--kernel")
      kernel = arguments[++i];
    else
      file_part = argument;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(arguments[1]))
    if (entry.path().filename().string().find(file_part) != std::string::npos) files.push_back(entry.path());
  std::sort(files.begin(), files.end());

  glimt_engine* engine = nullptr;
  glimt_error error{};
  if (glimt_engine_create(nullptr, &engine, &error)) return std::fprintf(stderr, "%s\n", error.message), 2;
  Judge judge(engine, graph);
  int failed = 0, runs = 0;
  for (const auto& path : files) {
    CaseReader reader(path);
    int failed_here = 0;
    const uint32_t cases = reader.u32();
    for (uint32_t i = 0; i < cases; i++) {
      const Case test = read_case(reader);
      const auto in_name = [&](const std::string& part) { return test.name.find(part) != std::string::npos; };
      if (!case_parts.empty() && std::none_of(case_parts.begin(), case_parts.end(), in_name)) continue;
      std::string failure;
      if (kernel.empty()) {
        runs++;
        failure = judge.run(test);
        if (kernels && failure.empty()) failure = judge.run_others(test, runs);
      } else if (const auto answer = judge.run_if_fits(test, kernel)) {
        runs++;
        failure = *answer;
      }
      if (!failure.empty() && failed_here++ < 5)
        std::printf("FAIL %s: %s: %s\n", path.filename().c_str(), test.name.c_str(), failure.c_str());
    }
    if (failed_here) std::printf("%s: %d of %u failed\n", path.filename().c_str(), failed_here, cases);
    failed += failed_here;
  }
  glimt_engine_destroy(engine);
  std::printf("%d runs of cases, %d failed\n", runs, failed);
  return failed || !runs ? 1 : 0;
}
