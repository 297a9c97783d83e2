// One deliberately broken kernel for each class of bug: the emulator must refuse it, by the right name. Classes that only
// the instrumented build can name (GLIMT_CHECK_ACCESSES) must at least show there as NaN, where that is possible.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "broken_wgmma.h"
#include "kernels/tensor_core.h"
#include "runtime/emulator_control.h"
#include "runtime/error.h"
#include "runtime/launch.h"

namespace glimt {
namespace {

#if defined(GLIMT_CHECK_ACCESSES)
constexpr bool kChecked = true;
#else
constexpr bool kChecked = false;
#endif
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitised = true;
// Threads that a fault leaves in the middle of a kernel keep what they allocated.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() { return "detect_leaks=0"; }
#else
constexpr bool kSanitised = false;
#endif

// Reverses 64 numbers through shared memory, without the barrier that must stand between.
__global__ void missing_barrier(float* data) {
  start_kernel();
  GLIMT_SHARED(float, values, 64);
  values[threadIdx.x] = data[threadIdx.x];
  data[threadIdx.x] = values[63 - threadIdx.x];
}

// The second round overwrites what slower threads still read.
__global__ void missing_second_barrier(float* data) {
  start_kernel();
  GLIMT_SHARED(float, values, 64);
  for (int round = 0; round < 2; round++) {
    values[threadIdx.x] = data[threadIdx.x];
    __syncthreads();
    data[threadIdx.x] = values[63 - threadIdx.x];
  }
}

__global__ void missing_syncwarp(float* data) {
  start_kernel();
  GLIMT_SHARED(float, values, 32);
  values[threadIdx.x] = data[threadIdx.x];
  data[threadIdx.x] = values[31 - threadIdx.x];
}

__global__ void divergent_barrier(float* data) {
  start_kernel();
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  data[threadIdx.x] = 0;
}

__global__ void barrier_after_exit(float* data) {
  start_kernel();
  if (threadIdx.x == 5) return;
  __syncthreads();
  data[threadIdx.x] = 0;
}

__global__ void divergent_shuffle(float* data) {
  start_kernel();
  if (threadIdx.x % 32 < 16) data[threadIdx.x] = __shfl_xor_sync(kAllLanes, data[threadIdx.x], 1);
}

__global__ void wrong_mask(float* data) {
  start_kernel();
  const unsigned mask = threadIdx.x < 16 ? 0xffffu : kAllLanes;
  data[threadIdx.x] = __shfl_xor_sync(mask, data[threadIdx.x], 1);
}

__global__ void mixed_collectives(float* data) {
  start_kernel();
  if (threadIdx.x < 16)
    __syncwarp();
  else
    data[threadIdx.x] = __shfl_xor_sync(kAllLanes, data[threadIdx.x], 1);
}

__global__ void missing_wait(float* data) {
  start_kernel();
  GLIMT_SHARED(float, values, 64);
  if (threadIdx.x < 16) cp_async16(values + threadIdx.x * 4, data + threadIdx.x * 4, true);
  cp_async_commit();
  __syncthreads();
  data[threadIdx.x] = values[63 - threadIdx.x];
}

__global__ void wait_without_barrier(float* data) {
  start_kernel();
  GLIMT_SHARED(float, values, 64);
  if (threadIdx.x < 16) cp_async16(values + threadIdx.x * 4, data + threadIdx.x * 4, true);
  cp_async_commit();
  cp_async_wait<0>();
  data[threadIdx.x] = values[63 - threadIdx.x];
}

__global__ void wait_for_too_few(float* data) {
  start_kernel();
  GLIMT_SHARED(float, values, 128);
  for (int group = 0; group < 2; group++) {
    if (threadIdx.x < 16) cp_async16(values + group * 64 + threadIdx.x * 4, data + threadIdx.x * 4, true);
    cp_async_commit();
  }
  cp_async_wait<1>();
  __syncthreads();
  const float value = values[64 + threadIdx.x];
  __syncthreads();
  cp_async_wait<0>();
  data[threadIdx.x] = value;
}

// Two blocks of 16 threads: the one that takes the second ticket of data[32] reads what the other wrote. As it should be,
// or with one thing missing.
enum class Missing { nothing, release, barrier, ticket, acquire };

template <Missing What>
__global__ void last_block_reads(float* data) {
  start_kernel();
  GLIMT_SHARED(unsigned, last, 1);
  unsigned* ticket = reinterpret_cast<unsigned*>(data + 32);
  data[blockIdx.x * 16 + threadIdx.x] = 1;
  if constexpr (What != Missing::release) __threadfence();
  if constexpr (What != Missing::barrier) __syncthreads();
  if (threadIdx.x == 0) {
    *last = What == Missing::ticket ? blockIdx.x == 1 : atomicAdd(ticket, 1u) == 1;
    if (What != Missing::ticket && *last) *ticket = 0;
  }
  __syncthreads();
  if constexpr (What != Missing::acquire) __threadfence();
  if (*last) data[33 + threadIdx.x] = data[threadIdx.x] + data[16 + threadIdx.x];
}

// The same with one thread that fences for all, before and behind its ticket.
__global__ void last_block_reads_by_one_fence(float* data) {
  start_kernel();
  GLIMT_SHARED(unsigned, last, 1);
  unsigned* ticket = reinterpret_cast<unsigned*>(data + 32);
  data[blockIdx.x * 16 + threadIdx.x] = 1;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    *last = atomicAdd(ticket, 1u) == 1;
    if (*last) *ticket = 0;
    __threadfence();
  }
  __syncthreads();
  if (*last) data[33 + threadIdx.x] = data[threadIdx.x] + data[16 + threadIdx.x];
}

__global__ void race_on_device_memory(float* data) {
  start_kernel();
  data[threadIdx.x] = 1;
  data[threadIdx.x] += data[63 - threadIdx.x];
}

__global__ void reads_past_the_end(float* data) { start_kernel(); data[threadIdx.x] = data[threadIdx.x + 64]; }
__global__ void writes_past_the_end(float* data) { start_kernel(); data[threadIdx.x + 1] = 0; }
__global__ void writes_before_the_start(float* data) { start_kernel(); data[static_cast<int>(threadIdx.x) - 1] = 0; }

struct Small {
  float values[16];
};
__global__ void writes_past_shared(float* data) {
  start_kernel();
  GLIMT_DYNAMIC_SHARED(Small, shared);
  shared.values[threadIdx.x] = data[threadIdx.x];
}

__global__ void reads_unwritten_shared(float* data) {
  start_kernel();
  GLIMT_SHARED(float, values, 64);
  if (threadIdx.x != 7) values[threadIdx.x] = 1;
  __syncthreads();
  data[threadIdx.x] = values[threadIdx.x];
}

// Threads count together; the count is read while others still count.
__global__ void missing_barrier_after_atomic(float* data) {
  start_kernel();
  GLIMT_SHARED(unsigned, count, 1);
  if (threadIdx.x == 0) *count = 0;
  __syncthreads();
  atomicAdd(count, 1u);
  data[threadIdx.x] = static_cast<float>(*count);
}

__global__ void atomic_on_unwritten_shared(float* data) {
  start_kernel();
  GLIMT_SHARED(unsigned, count, 1);
  atomicOr(count, 1u << threadIdx.x % 32);
  __syncthreads();
  data[threadIdx.x] = __uint_as_float(*count);
}

__global__ void reads_unwritten_memory(float* data, const float* fresh) { start_kernel(); data[threadIdx.x] = fresh[threadIdx.x]; }

__global__ void misaligned_ldmatrix(float* data) {
  start_kernel();
  GLIMT_SHARED(bf16, tile, 16 * 24);
  for (int i = threadIdx.x; i < 16 * 24; i += 64) tile[i] = to_bf16(0);
  __syncthreads();
  unsigned r[4];
  // Rows of 20 elements are 40 bytes apart.
  ldmatrix4(r, tile + threadIdx.x % 16 * 20);
  data[threadIdx.x] = __uint_as_float(r[0]);
}

__global__ void misaligned_pack(float* data) {
  start_kernel();
  const auto pack = load_pack<float, 4>(data + 1);
  if (threadIdx.x == 0) data[0] = pack.at[0];
}

__global__ void harmless(float* data) { start_kernel(); data[threadIdx.x] = 1; }

__global__ void missing_start(float* data) { data[threadIdx.x] = 0; }

struct Broken {
  const char* name;
  const char* kind;
  // Only the instrumented build names it; the other must show a NaN in `data`, or (maybe_silent) may miss it.
  bool needs_check, maybe_silent;
  std::function<void(rt::Stream, float*, float*)> launch;
  // AddressSanitizer ends the process there.
  bool is_fatal = false;
};

template <class... P, class... A>
auto starts(void (*kernel)(P...), unsigned threads, size_t shared = 0) {
  return [=](rt::Stream stream, float* data, float* fresh) {
    if constexpr (sizeof...(P) == 2)
      rt::launch(stream, "broken", kernel, 1, threads, shared, data, fresh);
    else
      rt::launch(stream, "broken", kernel, 1, threads, shared, data);
  };
}

auto two_blocks(void (*kernel)(float*)) {
  return [=](rt::Stream stream, float* data, float*) { rt::launch(stream, "broken", kernel, 2, 16, 0, data); };
}

auto wgmma_starts(void (*kernel)(float*)) { return starts(kernel, 128, kWgmmaTestBytes); }

const std::vector<Broken>& broken_kernels() {
  static const std::vector<Broken> all = {
      {"missing __syncthreads", "data race", true, false, starts(missing_barrier, 64)},
      {"missing second __syncthreads", "data race", true, true, starts(missing_second_barrier, 64)},
      {"missing __syncwarp", "data race", true, false, starts(missing_syncwarp, 32)},
      {"__syncthreads in both branches", "divergent barrier", false, false, starts(divergent_barrier, 64)},
      {"__syncthreads after an exit", "divergent barrier", false, false, starts(barrier_after_exit, 64)},
      {"shuffle by half a warp", "divergent collective", false, false, starts(divergent_shuffle, 32)},
      {"masks that differ", "divergent collective", false, false, starts(wrong_mask, 32)},
      {"two collectives at once", "divergent collective", false, false, starts(mixed_collectives, 32)},
      {"missing __syncthreads after an atomic", "data race", true, true, starts(missing_barrier_after_atomic, 64)},
      {"atomic on unwritten shared memory", "uninitialised read", true, false, starts(atomic_on_unwritten_shared, 64)},
      {"missing __threadfence before a ticket", "data race", true, true, two_blocks(last_block_reads<Missing::release>)},
      {"missing __syncthreads before a ticket", "data race", true, true, two_blocks(last_block_reads<Missing::barrier>)},
      {"missing ticket between blocks", "data race", true, true, two_blocks(last_block_reads<Missing::ticket>)},
      {"missing __threadfence behind a ticket", "data race", true, true, two_blocks(last_block_reads<Missing::acquire>)},
      {"missing barrier on device memory", "data race", true, true, starts(race_on_device_memory, 64)},
      {"missing cp.async wait", "missing wait", false, false, starts(missing_wait, 64)},
      {"cp.async wait without barrier", "data race", true, false, starts(wait_without_barrier, 64)},
      {"wait for too few groups", "missing wait", true, false, starts(wait_for_too_few, 64)},
      {"read past an allocation", "out of bounds", true, true, starts(reads_past_the_end, 64), kSanitised},
      {"write past an allocation", "out of bounds", false, false, starts(writes_past_the_end, 64), kSanitised},
      {"write before an allocation", "out of bounds", false, false, starts(writes_before_the_start, 64), kSanitised},
      {"write past shared memory", "out of bounds", false, false, starts(writes_past_shared, 64, sizeof(Small))},
      {"read of unwritten shared memory", "uninitialised read", true, false, starts(reads_unwritten_shared, 64)},
      {"read of unwritten memory", "uninitialised read", true, false, starts(reads_unwritten_memory, 64)},
      {"misaligned ldmatrix", "misaligned access", false, false, starts(misaligned_ldmatrix, 64)},
      {"misaligned vector load", "misaligned access", false, false, starts(misaligned_pack, 32)},
      {"missing start_kernel", "missing wait", false, false, starts(missing_start, 64)},
      {"missing wgmma wait", "missing wait", true, false, wgmma_starts(wgmma_without_wait)},
      {"wgmma wait for too few groups", "missing wait", true, false, wgmma_starts(wgmma_waits_for_too_few)},
      {"write to the sums of a wgmma", "missing wait", false, false, wgmma_starts(wgmma_sums_overwritten)},
      {"missing wgmma commit", "missing wait", false, false, wgmma_starts(wgmma_without_commit)},
      {"missing wgmma.fence", "missing fence", false, false, wgmma_starts(wgmma_without_fence)},
      {"missing second wgmma.fence", "missing fence", false, false, wgmma_starts(wgmma_fenced_once)},
      {"missing fence.proxy.async", "missing fence", true, true, wgmma_starts(wgmma_without_proxy_fence)},
      {"fence.proxy.async behind the barrier", "missing fence", true, true, wgmma_starts(proxy_fence_behind_barrier)},
      {"fence.proxy.async before the wait", "missing fence", true, true, wgmma_starts(proxy_fence_before_wait)},
      {"missing barrier before wgmma", "data race", true, true, wgmma_starts(wgmma_before_barrier)},
      {"wgmma before cp.async has delivered", "missing wait", true, false, wgmma_starts(wgmma_before_cp_async)},
      {"store to what a wgmma reads", "data race", false, false, wgmma_starts(stage_refilled_too_early)},
      {"cp.async to what a wgmma reads", "data race", false, false, wgmma_starts(stage_copied_too_early)},
      {"store without a barrier behind wgmma", "data race", true, true, wgmma_starts(stage_refilled_without_barrier)},
      {"wgmma matrix off its atom", "wrong descriptor", false, false, wgmma_starts(wgmma_off_its_atom<1>)},
      {"wgmma matrix past shared memory", "wrong descriptor", false, false, wgmma_starts(wgmma_off_its_atom<64>)},
      {"wgmma past the 128 bytes of a row", "wrong descriptor", false, false, wgmma_starts(wgmma_past_its_row)},
      {"wgmma without a swizzle", "wrong descriptor", false, false,
       wgmma_starts(wgmma_with_descriptor<uint64_t{1} << 62>)},
      {"wgmma with another swizzle", "wrong descriptor", false, false,
       wgmma_starts(wgmma_with_descriptor<uint64_t{3} << 62>)},
      {"wgmma with atoms too close", "wrong descriptor", false, false,
       wgmma_starts(wgmma_with_descriptor<uint64_t{64 ^ 8} << 32>)},
      {"write to the fragment of a wgmma", "missing wait", false, false, wgmma_starts(fragment_overwritten)},
      {"missing wgmma.fence before a fragment", "missing fence", false, false, wgmma_starts(fragment_without_fence)},
      {"wgmma with columns on top of each other", "wrong descriptor", false, false, wgmma_starts(columns_with_next<0>)},
      {"wgmma with columns past shared memory", "wrong descriptor", false, false,
       wgmma_starts(columns_with_next<32 * 1024>)},
      {"wgmma by three warps", "divergent collective", false, false, wgmma_starts(wgmma_by_three_warps)},
      {"wgmma by two warps", "divergent collective", false, false, starts(wgmma_by_half_a_warpgroup, 64)},
      {"wgmma in both branches", "divergent collective", false, false, wgmma_starts(wgmma_in_both_branches)},
      {"wgmma descriptors that differ", "divergent collective", false, false, wgmma_starts(wgmma_of_two_minds)},
      {"too much shared memory", "launch configuration", false, false, starts(harmless, 64, 200 * 1024)},
      {"too many threads", "launch configuration", false, false, starts(harmless, 2048)},
      {"an empty block", "launch configuration", false, false, starts(harmless, 0)},
  };
  return all;
}

int failures = 0;

void expect(bool good, const std::string& name, const std::string& found) {
  if (good) {
    std::printf("ok   %s: %s\n", name.c_str(), found.c_str());
  } else {
    std::printf("FAIL %s: %s\n", name.c_str(), found.c_str());
    failures++;
  }
}

// The error's text, or nothing.
std::string error_of(const std::function<void()>& body) {
  try {
    body();
    return "";
  } catch (const Error& error) {
    return std::string(error.code()) + ": " + error.what();
  }
}

// Whether `body` takes down the process that runs it.
bool is_deadly(const std::function<void()>& body) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    if (!std::freopen("/dev/null", "w", stderr)) _exit(0);
    body();
    _exit(0);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && status != 0;
}

void test_broken(const Broken& broken, emu::Schedule schedule) {
  emu::set_schedule(schedule, 3);
  rt::Stream stream = rt::create_stream();
  auto* data = static_cast<float*>(rt::allocate(64 * sizeof(float)));
  auto* fresh = static_cast<float*>(rt::allocate(64 * sizeof(float)));
  rt::fill(stream, data, 0, 64 * sizeof(float));
  rt::synchronize(stream);
  const auto run = [&] {
    broken.launch(stream, data, fresh);
    rt::synchronize(stream);
  };
  // What a missing barrier leaves behind depends on who comes first: a race, or nothing written yet.
  const bool race = std::string(broken.kind) == "data race";
  if (broken.is_fatal) {
    expect(is_deadly(run), broken.name, "ends the process");
  } else if (const std::string found = error_of(run); !broken.needs_check || kChecked) {
    const bool named = found.find(std::string("(") + broken.kind + ")") != std::string::npos ||
                       (race && found.find("(uninitialised read)") != std::string::npos);
    expect(named, broken.name, found.empty() ? "nothing was found" : found);
  } else if (!broken.maybe_silent && schedule != emu::Schedule::in_order) {
    bool nan = false;
    for (int i = 0; i < 64; i++) nan = nan || std::isnan(data[i]);
    expect(nan, broken.name, nan ? "shows as NaN" : "does not show");
  }
  rt::release(data);
  rt::release(fresh);
  rt::destroy_stream(stream);
}

// The wgmma kernels that the broken ones were made from.
void test_wgmma(void (*kernel)(float*), emu::Schedule schedule) {
  emu::set_schedule(schedule, 3);
  rt::Stream stream = rt::create_stream();
  auto* data = static_cast<float*>(rt::allocate(64 * sizeof(float)));
  const std::string found = error_of([&] {
    rt::launch(stream, "right", kernel, 1, 128, kWgmmaTestBytes, data);
    rt::synchronize(stream);
  });
  expect(found.empty() && std::all_of(data, data + 64, [](float x) { return x == 1; }), "wgmma as it should be", found);
  rt::release(data);
  rt::destroy_stream(stream);
}

// The kernels that those with a ticket missing were made from: twice, since the ticket is to be zero again.
void test_tickets(emu::Schedule schedule) {
  emu::set_schedule(schedule, 3);
  rt::Stream stream = rt::create_stream();
  auto* data = static_cast<float*>(rt::allocate(64 * sizeof(float)));
  for (const auto& kernel : {last_block_reads<Missing::nothing>, last_block_reads_by_one_fence}) {
    rt::fill(stream, data, 0, 64 * sizeof(float));
    const std::string found = error_of([&] {
      for (int i = 0; i < 2; i++) rt::launch(stream, "right", kernel, 2, 16, 0, data);
      rt::synchronize(stream);
    });
    expect(found.empty() && std::all_of(data + 33, data + 49, [](float x) { return x == 2; }),
           "the last block reads what the others wrote", found);
  }
  rt::release(data);
  rt::destroy_stream(stream);
}

// Memory that was a stack of an emulated thread is as good as any other once the thread that emulated it has ended.
void test_stacks() {
  std::thread([] {
    rt::Stream stream = rt::create_stream();
    auto* data = static_cast<float*>(rt::allocate(32 * sizeof(float)));
    const std::string found = error_of([&] {
      rt::launch(stream, "broken", divergent_shuffle, 1, 32, 0, data);
      rt::synchronize(stream);
    });
    expect(!found.empty(), "threads left in the middle of a kernel", found);
    rt::release(data);
    rt::destroy_stream(stream);
  }).join();
  constexpr size_t kBytes = size_t{8} << 20;
  void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(memory != MAP_FAILED, "memory where their stacks were", "");
  volatile char* bytes = static_cast<char*>(memory);
  for (size_t i = 0; i < kBytes; i += 8) bytes[i] = 1;
  munmap(memory, kBytes);
}

// What CUDA refuses while a stream is captured, and faults on demand.
void test_runtime() {
  rt::Stream stream = rt::create_stream();
  auto* data = static_cast<float*>(rt::allocate(64 * sizeof(float)));
  rt::fill(stream, data, 0, 64 * sizeof(float));
  rt::synchronize(stream);

  rt::begin_capture(stream);
  std::string found = error_of([] { rt::allocate(16); });
  expect(found.find("DEVICE_FAILED") == 0, "allocation in a capture", found);
  rt::launch(stream, "harmless", harmless, 1, 64, 0, data);
  rt::Graph graph = rt::end_capture(stream);
  rt::synchronize(stream);
  expect(data[3] == 0, "a captured launch", "does not run");
  rt::launch_graph(graph, stream);
  rt::synchronize(stream);
  expect(data[3] == 1, "a replayed graph", "runs");
  rt::destroy_graph(graph);

  rt::begin_capture(stream);
  found = error_of([&] { rt::synchronize(stream); });
  expect(found.find("DEVICE_FAILED") == 0, "waiting in a capture", found);
  found = error_of([&] { rt::end_capture(stream); });
  expect(found.find("DEVICE_FAILED") == 0, "the capture after that", found);
  rt::abandon_capture(stream);

  rt::arm_fault(rt::Fault::allocation, 2);
  void* first = rt::allocate(16);
  found = error_of([] { rt::allocate(16); });
  expect(found.find("OUT_OF_MEMORY") == 0, "the second allocation", found);
  rt::release(first);
  rt::arm_fault(rt::Fault::pinned, 1);
  found = error_of([] { rt::allocate_pinned(16); });
  expect(found.find("OUT_OF_MEMORY") == 0, "page-locked memory", found);
  rt::set_memory_limit(1 << 20);
  found = error_of([] { rt::allocate(2 << 20); });
  expect(found.find("OUT_OF_MEMORY") == 0, "more memory than there is", found);
  rt::set_memory_limit(uint64_t{8} << 30);
  rt::arm_fault(rt::Fault::launch, 1);
  found = error_of([&] { rt::launch(stream, "harmless", harmless, 1, 64, 0, data); });
  expect(found.find("DEVICE_FAILED") == 0, "a refused launch", found);
  rt::arm_fault(rt::Fault::device_lost, 1);
  found = error_of([&] { rt::launch(stream, "harmless", harmless, 1, 64, 0, data); });
  expect(found.find("DEVICE_FAILED") == 0, "a lost device", found);
  found = error_of([] { rt::allocate(16); });
  expect(found.find("DEVICE_FAILED") == 0, "what comes after it", found);
  rt::arm_fault(rt::Fault::device_lost, 0);
  rt::release(data);
  rt::destroy_stream(stream);
}

}  // namespace
}  // namespace glimt

int main() {
  using glimt::emu::Schedule;
  for (const Schedule schedule : {Schedule::in_order, Schedule::reversed, Schedule::shuffled}) {
    for (const auto kernel : {glimt::right_wgmma, glimt::right_wgmma_fragment}) glimt::test_wgmma(kernel, schedule);
    glimt::test_tickets(schedule);
  }
  for (const auto& broken : glimt::broken_kernels())
    for (const Schedule schedule : {Schedule::in_order, Schedule::reversed, Schedule::shuffled})
      glimt::test_broken(broken, schedule);
  glimt::emu::set_schedule(Schedule::in_order, 1);
  glimt::test_stacks();
  glimt::test_runtime();
  std::printf("%s\n", glimt::failures ? "FAILED" : "all caught");
  return glimt::failures ? 1 : 0;
}
