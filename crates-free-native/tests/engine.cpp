// What the engine does around its kernels: damaged programs, faults, aborts, graphs, lifetimes. Uses one exported case.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "cases.h"
#include "glimt_storage.h"

namespace {

// The arithmetic of glimt_storage.h, with rows of formats that the table may get: test/tensor/storage.test.ts has these
// figures too.
using glimt::storageBytes;
using glimt::program::DType;
using glimt::program::Format;
using glimt::program::Layout;
constexpr Format kInt8Blocks{8, 1, 32, 2}, kInt4Minimum{4, 1, 128, 6}, kFp8Rows{8, 1, 0, 4}, kFp8Tiles{8, 128, 128, 2};
static_assert(storageBytes(DType::f32, 3, 5) == 60 && storageBytes(DType::bf16, 3, 5) == 30);
static_assert(storageBytes(DType::f32, 0, 5, Layout::tiles8) == 0);
static_assert(storageBytes(DType::bf16, 9, 5, Layout::tiles8) == 16 * 5 * 2);
static_assert(storageBytes(kInt8Blocks, 2, 65) == 2 * (65 + 3 * 2));
static_assert(storageBytes(kInt8Blocks, 9, 64, Layout::tiles8) == 16 * (64 + 2 * 2));
static_assert(storageBytes(kInt4Minimum, 2, 3) == 2 * (2 + 6));
static_assert(storageBytes(kFp8Rows, 7, 300) == 7 * 300 + 7 * 4 && storageBytes(kFp8Rows, 3, 0) == 0);
static_assert(storageBytes(kFp8Tiles, 129, 129) == 129 * 129 + 4 * 2);

int failures = 0;

void expect(bool good, const char* name, const std::string& found = "") {
  std::printf("%s %s%s%s\n", good ? "ok  " : "FAIL", name, found.empty() ? "" : ": ", found.c_str());
  if (!good) failures++;
}

std::string error_of(const std::function<void()>& body) {
  try {
    body();
    return "nothing";
  } catch (const std::string& failure) {
    return failure;
  }
}

bool starts_with(const std::string& text, const char* prefix) { return text.rfind(prefix, 0) == 0; }

void test_damaged_programs(glimt_engine* engine, const Case& test) {
  glimt_executable* executable = nullptr;
  glimt_error error{};
  size_t wrong = 0;
  for (size_t length = 0; length < test.program.size(); length++)
    if (!glimt_load(engine, test.program.data(), length, nullptr, 0, &executable, &error) ||
        std::string(error.code) != "PROGRAM_INVALID")
      wrong++;
  expect(wrong == 0, "every truncated program is refused", error.message);
  std::string newer = test.program;
  newer[4] = static_cast<char>(newer[4] + 1);
  glimt_load(engine, newer.data(), newer.size(), nullptr, 0, &executable, &error);
  expect(std::string(error.message).find("recompile") != std::string::npos, "a program of another version", error.message);
  // A flipped bit in any byte: an error, or a program that still fits its weights; never a crash.
  for (size_t i = 0; i < test.program.size(); i++) {
    Case damaged = test;
    damaged.program[i] = static_cast<char>(damaged.program[i] ^ 1 << i % 7);
    error_of([&] { PreparedCase(engine, damaged).run(); });
  }
  expect(true, "damaged bytes never crash");
}

// A weight in blocks is what kernels alone read, whole.
void test_blocks(glimt_engine* engine, const Case& test) {
  expect(starts_with(test.name, "linear m=9 n=9 k=32 weight=q8"), "the case with blocks", test.name);
  test_damaged_programs(engine, test);
  glimt_tensor* tensor = nullptr;
  glimt_error error{};
  const auto q8 = static_cast<uint32_t>(DType::q8);
  glimt_tensor_allocate(engine, q8, 4, 48, &tensor, &error);
  expect(std::string(error.message).find("whole blocks of 32") != std::string::npos, "rows of half blocks", error.message);
  glimt_tensor_allocate(engine, q8, 4, 64, &tensor, &error);
  char row[68];
  glimt_tensor_read(engine, tensor, 0, 1, row, &error);
  expect(std::string(error.message).find("which only kernels read") != std::string::npos, "a row of blocks", error.message);
  const uint32_t others[] = {static_cast<uint32_t>(DType::q4), static_cast<uint32_t>(DType::i32)};
  for (const uint32_t other : others) {
    error = {};
    glimt_tensor_write(engine, tensor, 0, 0, other, row, &error);
    expect(std::string(error.code) == "INPUT_INVALID", "blocks of something else", error.message);
  }
  glimt_tensor_free(engine, tensor, nullptr);
}

void test_faults(glimt_engine* engine, const Case& test) {
  PreparedCase prepared(engine, test);
  prepared.run();
  const std::string answer = prepared.read(0);
  glimt_engine_trim(engine, nullptr);
  glimt_emulator_fail(GLIMT_FAULT_ALLOCATION, 1, nullptr);
  std::string found = error_of([&] { prepared.run(); });
  expect(starts_with(found, "OUT_OF_MEMORY"), "no memory for a run", found);
  prepared.run();
  expect(prepared.read(0) == answer, "the engine lives on");
  glimt_emulator_fail(GLIMT_FAULT_LAUNCH, 1, nullptr);
  found = error_of([&] { prepared.run(); });
  expect(starts_with(found, "DEVICE_FAILED"), "a refused launch", found);
  prepared.run();
  expect(prepared.read(0) == answer, "the engine lives on");
  const int32_t abort = 1;
  found = error_of([&] { prepared.run(0, &abort); });
  expect(starts_with(found, "ABORTED"), "an aborted run", found);

  glimt_emulator_fail(GLIMT_FAULT_LAUNCH, 1, nullptr);
  found = error_of([&] { prepared.run(GLIMT_RUN_GRAPH); });
  expect(starts_with(found, "DEVICE_FAILED"), "a launch refused in a capture", found);
  glimt_run_statistics before{}, after{};
  glimt_engine_statistics(engine, &before, nullptr);
  for (int i = 0; i < 3; i++) prepared.run(GLIMT_RUN_GRAPH);
  glimt_engine_statistics(engine, &after, nullptr);
  expect(after.graph_captures == before.graph_captures + 1 && after.graph_replays == before.graph_replays + 3,
         "captured once, replayed each time");
  expect(prepared.read(0) == answer, "replayed and eager results are equal, bit for bit");
}

void test_lifetimes(const Case& test) {
  glimt_error error{};
  glimt_engine *first = nullptr, *second = nullptr;
  glimt_engine_create(nullptr, &first, &error);
  glimt_engine_create(nullptr, &second, &error);
  {
    PreparedCase a(first, test), b(second, test);
    a.run();
    b.run();
    expect(a.read(0) == b.read(0), "two engines on one device");
  }
  glimt_tensor* tensor = nullptr;
  glimt_tensor_allocate(first, 0, 4, 4, &tensor, &error);
  glimt_tensor_free(second, tensor, &error);
  expect(std::string(error.code) == "DISPOSED", "a tensor of another engine", error.message);
  glimt_tensor_free(first, tensor, &error);
  int status = glimt_tensor_free(first, tensor, &error);
  expect(status != 0, "a tensor freed twice", error.message);
  glimt_engine_trim(first, nullptr);
  expect(glimt_engine_live_bytes(first) == 0, "nothing is left");
  glimt_engine_destroy(first);
  glimt_engine_destroy(second);
  for (uint64_t countdown = 1; countdown < 3; countdown++) {
    glimt_emulator_fail(GLIMT_FAULT_PINNED, countdown, nullptr);
    if (!glimt_engine_create(nullptr, &first, &error)) glimt_engine_destroy(first);
  }
  glimt_emulator_fail(GLIMT_FAULT_PINNED, 0, nullptr);
  expect(std::string(error.code) == "OUT_OF_MEMORY", "no page-locked memory to open with", error.message);
  glimt_emulator_memory_limit(1 << 20, nullptr);
  glimt_engine_create(nullptr, &first, &error);
  status = glimt_tensor_allocate(first, 0, 1024, 1024, &tensor, &error);
  expect(status != 0, "too large a tensor", error.message);
  glimt_engine_destroy(first);
  glimt_emulator_memory_limit(uint64_t{8} << 30, nullptr);
}

// Which kernels a few cases run by: launches are refused one by one, by name.
void test_kernel_choice(const std::filesystem::path& folder) {
  std::vector<Case> tests;
  const auto take = [&](const char* file, const char* start) {
    CaseReader reader(folder / file);
    for (uint32_t left = reader.u32(); left > 0; left--) {
      Case test = read_case(reader);
      if (starts_with(test.name, start)) return tests.push_back(std::move(test));
    }
  };
  take("linear.bf16.cases", "linear m=9 n=264 k=1096 weight=bf16");
  take("linear.bf16.cases", "linear m=130 n=301 k=1096 weight=bf16");
  take("linear.bf16.cases", "linear m=8 n=13 k=10944 weight=q4");
  take("linear.bf16.cases", "linear m=130 n=301 k=1088 weight=q8");
  take("attention_varlen.bf16.cases", "attention_varlen runs=65 numHeads=2 headDim=128");
  take("attention_varlen.bf16.cases", "attention_varlen runs=130 numHeads=2 headDim=128");
  take("attention_paged.bf16.cases", "attention_paged batch=1/17 numHeads=8 numKvHeads=2 headDim=64");
  take("attention_paged.bf16.cases", "attention_paged batch=200/200+150/420 ");
  expect(tests.size() == 8, "the cases that show the choice");
  const auto kernels = [&](const char* variable, const char* wish) {
    if (wish) setenv(variable, wish, 1);
    glimt_engine* engine = nullptr;
    glimt_error error{};
    const bool opened = !glimt_engine_create(nullptr, &engine, &error);
    unsetenv(variable);
    if (!opened) return std::string(error.code) + ": " + error.message;
    std::string names;
    for (const Case& test : tests) {
      PreparedCase prepared(engine, test);
      glimt_emulator_fail(GLIMT_FAULT_LAUNCH, 1, nullptr);
      const std::string found = error_of([&] { prepared.run(); });
      const std::string before = "launch of ";
      const size_t from = std::min(found.find(before) + before.size(), found.size());
      names += (names.empty() ? "" : " ") + found.substr(from, found.find(" was refused") - from);
    }
    glimt_engine_destroy(engine);
    return names;
  };
  const auto expect_kernels = [&](const char* variable, const char* wish, const std::string& expected) {
    const std::string found = kernels(variable, wish);
    expect(starts_with(found, expected.c_str()), wish ? wish : "nothing asked for", found);
  };
  const std::string none = "linear_mma_64 linear_mma_128 linear_gemv linear_mma_128 flash_varlen flash_varlen flash_decode flash_paged";
  expect_kernels("GLIMT_WGMMA", nullptr, none);
  expect_kernels("GLIMT_WGMMA", "0", none);
  expect_kernels("GLIMT_WGMMA", "1",
                 "linear_mma_64 linear_wgmma_256 linear_gemv linear_mma_128 flash_varlen flash_wgmma_varlen flash_decode "
                 "flash_wgmma_paged");
  expect_kernels("GLIMT_WGMMA", "always",
                 "linear_wgmma_128 linear_wgmma_256 linear_gemv linear_mma_128 flash_wgmma_varlen flash_wgmma_varlen "
                 "flash_wgmma_paged flash_wgmma_paged");
  expect_kernels("GLIMT_WGMMA", "yes", "INPUT_INVALID: GLIMT_WGMMA is \"yes\"");
  // Matrix times vectors is for at most 8 rows.
  expect_kernels("GLIMT_KERNELS", "linear:gemv", none);
  expect_kernels("GLIMT_KERNELS", "linear:simt,attention_paged:flash",
                 "linear_simt linear_simt linear_simt linear_simt flash_varlen flash_varlen flash_paged flash_paged");
  expect_kernels("GLIMT_KERNELS", "simple",
                 "linear_mma_64 linear_mma_128 linear_gemv linear_mma_128 attention_simple attention_simple "
                 "attention_simple attention_simple");
  expect_kernels("GLIMT_KERNELS", "linear:fast",
                 "INPUT_INVALID: There is no kernel \"linear:fast\"; there are linear:gemv, linear:library, ");
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return std::fprintf(stderr, "engine FOLDER\n"), 2;
  CaseReader reader(std::filesystem::path(arguments[1]) / "attention_paged.bf16.cases");
  const uint32_t cases = reader.u32();
  Case test;
  for (uint32_t i = 0; i < cases; i++) {
    test = read_case(reader);
    if (test.name.find("batch=1/40+9/9") != std::string::npos) break;
  }
  glimt_engine* engine = nullptr;
  glimt_engine_create(nullptr, &engine, nullptr);
  test_damaged_programs(engine, test);
  test_faults(engine, test);
  CaseReader linears(std::filesystem::path(arguments[1]) / "linear.bf16.cases");
  Case blocks;
  for (uint32_t left = linears.u32(); left > 0; left--) {
    blocks = read_case(linears);
    if (starts_with(blocks.name, "linear m=9 n=9 k=32 weight=q8")) break;
  }
  test_blocks(engine, blocks);
  glimt_engine_destroy(engine);
  test_lifetimes(test);
  test_kernel_choice(arguments[1]);
  return failures ? 1 : 0;
}
