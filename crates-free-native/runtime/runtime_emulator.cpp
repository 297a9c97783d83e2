// The emulated device: memory with red zones and NaN poison, streams that run late, capture that refuses what
// CUDA refuses, faults on demand.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "emulator_control.h"
#include "emulator_stream.h"
#include "error.h"
#include "launch.h"
#include "runtime.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)0)
#endif

namespace glimt::rt {

namespace {

#if defined(__SANITIZE_ADDRESS__)
// The sanitizer watches the zones itself, reads too.
constexpr bool kZonesWatched = true;
#else
constexpr bool kZonesWatched = false;
#endif
constexpr size_t kZone = 4096;
constexpr unsigned char kZonePattern = 0xA5;

// They differ in nothing.
constexpr int kDevices = 8;

struct Allocation {
  unsigned char* base;
  size_t bytes;
  int device;
};

std::mutex g_mutex;
std::map<uintptr_t, Allocation> g_allocations;  // by address of the first byte handed out
// Bytes, by device.
uint64_t g_used[kDevices] = {};
// Of each device.
uint64_t g_limit = uint64_t{8} << 30;
std::atomic<uint64_t> g_faults[static_cast<int>(Fault::count)];
std::atomic<bool> g_lost[kDevices];
std::atomic<int> g_multiprocessors{4};
thread_local uint64_t t_launches = 0;
thread_local int t_device = 0;
// Streams this thread captures; meanwhile calls that would stall or change the device are refused.
thread_local int t_capturing = 0;

void require_alive() {
  if (g_lost[t_device]) throw Error("DEVICE_FAILED", "The device was lost (emulated). Close the engine and open a new one.");
}

void refuse_in_capture(const char* what) {
  if (t_capturing)
    throw Error("DEVICE_FAILED", std::string(what) + " is not permitted while a stream is captured (emulated).");
}

std::string format_mib(uint64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

// Under the mutex.
uint64_t free_here() { return g_limit > g_used[t_device] ? g_limit - g_used[t_device] : 0; }

}  // namespace

struct StreamHandle {
  std::deque<std::function<void()>> queue;
  bool capturing = false;
  bool invalidated = false;
  std::vector<std::function<void()>> recorded;

  void push(std::function<void()> work) {
    require_alive();
    if (capturing)
      recorded.push_back(std::move(work));
    else
      queue.push_back(std::move(work));
  }
  void drain() {
    while (!queue.empty()) {
      auto work = std::move(queue.front());
      queue.pop_front();
      try {
        work();
      } catch (...) {
        queue.clear();
        throw;
      }
    }
  }
};

struct EventHandle {
  std::chrono::steady_clock::time_point when;
};

struct GraphHandle {
  std::vector<std::function<void()>> work;
};

void arm_fault(Fault fault, uint64_t countdown) {
  g_faults[static_cast<int>(fault)] = countdown;
  if (fault == Fault::device_lost && countdown == 0)
    for (auto& lost : g_lost) lost = false;
}

bool strike(Fault fault) {
  auto& left = g_faults[static_cast<int>(fault)];
  uint64_t now = left.load();
  while (now > 0)
    if (left.compare_exchange_weak(now, now - 1)) return now == 1;
  return false;
}

void set_memory_limit(uint64_t bytes) {
  std::lock_guard lock(g_mutex);
  g_limit = bytes;
}

void set_multiprocessors(int count) { g_multiprocessors = count; }

bool find_allocation(const void* address, const unsigned char** begin, const unsigned char** end) {
  std::lock_guard lock(g_mutex);
  auto at = reinterpret_cast<uintptr_t>(address);
  auto next = g_allocations.upper_bound(at + kZone);
  if (next == g_allocations.begin()) return false;
  auto& [start, allocation] = *std::prev(next);
  if (at >= start + allocation.bytes + kZone) return false;
  *begin = reinterpret_cast<const unsigned char*>(start);
  *end = *begin + allocation.bytes;
  return true;
}

int device_count() { return kDevices; }

DeviceInfo device_info(int device) {
  if (device < 0 || device >= kDevices)
    throw Error("BACKEND_UNAVAILABLE", "Device " + std::to_string(device) + " does not exist: the emulator has " +
                                           std::to_string(kDevices) + ".");
  DeviceInfo info;
  info.name = "CPU emulator of the CUDA model (for tests)";
  info.multiprocessors = g_multiprocessors;
  t_device = device;
  memory_info(&info.free_bytes, &info.total_bytes);
  return info;
}

void use_device(int device) {
  t_device = device;
  require_alive();
}

void memory_info(uint64_t* free_bytes, uint64_t* total_bytes) {
  std::lock_guard lock(g_mutex);
  *total_bytes = g_limit;
  *free_bytes = free_here();
}

void* allocate(size_t bytes) {
  require_alive();
  refuse_in_capture("Allocating device memory");
  std::lock_guard lock(g_mutex);
  unsigned char* base = nullptr;
  if (!strike(Fault::allocation) && g_used[t_device] + bytes <= g_limit)
    base = static_cast<unsigned char*>(std::aligned_alloc(kZone, (bytes + kZone - 1) / kZone * kZone + 2 * kZone));
  if (!base)
    throw Error("OUT_OF_MEMORY",
                "Device memory: " + format_mib(bytes) + " wanted, " + format_mib(free_here()) + " free.");
  // NaN in every float type, -1 as an integer: reading too early shows.
  std::memset(base, kZonePattern, kZone);
  std::memset(base + kZone, 0xFF, bytes);
  std::memset(base + kZone + bytes, kZonePattern, kZone);
  ASAN_POISON_MEMORY_REGION(base, kZone);
  ASAN_POISON_MEMORY_REGION(base + kZone + bytes, kZone);
  g_allocations[reinterpret_cast<uintptr_t>(base) + kZone] = {base, bytes, t_device};
  g_used[t_device] += bytes;
  return base + kZone;
}

void release(void* memory) noexcept {
  if (!memory) return;
  std::lock_guard lock(g_mutex);
  auto found = g_allocations.find(reinterpret_cast<uintptr_t>(memory));
  if (found == g_allocations.end()) return;
  g_used[found->second.device] -= found->second.bytes;
  ASAN_UNPOISON_MEMORY_REGION(found->second.base, found->second.bytes + 2 * kZone);
  std::free(found->second.base);
  emu::note_device_memory_freed(memory);
  g_allocations.erase(found);
}

void* allocate_pinned(size_t bytes) {
  refuse_in_capture("Allocating page-locked memory");
  void* memory = strike(Fault::pinned) ? nullptr : std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (!memory) throw Error("OUT_OF_MEMORY", "Page-locked host memory: " + format_mib(bytes) + " were refused.");
  return memory;
}

void release_pinned(void* memory) noexcept { std::free(memory); }

Stream create_stream() {
  require_alive();
  return new StreamHandle;
}

void destroy_stream(Stream stream) noexcept { delete stream; }

void synchronize(Stream stream) {
  require_alive();
  if (stream->capturing) {
    stream->invalidated = true;
    throw Error("DEVICE_FAILED", "Synchronising a stream is not permitted while it is captured (emulated).");
  }
  stream->drain();
}

void push_work(Stream stream, std::function<void()> work) { stream->push(std::move(work)); }

void copy_to_device(Stream stream, void* to, const void* from, size_t bytes) {
  stream->push([=] {
    std::memcpy(to, from, bytes);
    emu::note_device_memory(to, bytes, true);
  });
}
void copy_to_host(Stream stream, void* to, const void* from, size_t bytes) {
  stream->push([=] { std::memcpy(to, from, bytes); });
}
void copy_on_device(Stream stream, void* to, const void* from, size_t bytes) {
  stream->push([=] {
    std::memmove(to, from, bytes);
    emu::note_device_memory(to, bytes, true);
  });
}
void fill(Stream stream, void* memory, int byte, size_t bytes) {
  stream->push([=] {
    std::memset(memory, byte, bytes);
    emu::note_device_memory(memory, bytes, true);
  });
}
void poison(Stream stream, void* memory, size_t bytes) {
  stream->push([=] {
    std::memset(memory, 0xFF, bytes);
    emu::note_device_memory(memory, bytes, false);
  });
}

Event create_event() { return new EventHandle; }
void destroy_event(Event event) noexcept { delete event; }
void record(Event event, Stream stream) {
  stream->push([=] { event->when = std::chrono::steady_clock::now(); });
}
void wait(Event, Stream stream) {
  refuse_in_capture("Waiting for an event");
  synchronize(stream);
}
double milliseconds_between(Event first, Event second) {
  return std::chrono::duration<double, std::milli>(second->when - first->when).count();
}

void begin_capture(Stream stream) {
  require_alive();
  stream->capturing = true;
  stream->invalidated = false;
  stream->recorded.clear();
  t_capturing++;
}

Graph end_capture(Stream stream) {
  if (!stream->capturing) throw Error("DEVICE_FAILED", "The stream is not captured (emulated).");
  stream->capturing = false;
  t_capturing--;
  if (stream->invalidated) throw Error("DEVICE_FAILED", "The capture was invalidated by a forbidden call (emulated).");
  auto* graph = new GraphHandle;
  graph->work = std::move(stream->recorded);
  stream->recorded.clear();
  return graph;
}

void abandon_capture(Stream stream) noexcept {
  if (!stream->capturing) return;
  stream->capturing = false;
  stream->recorded.clear();
  t_capturing--;
}

void launch_graph(Graph graph, Stream stream) {
  if (strike(Fault::launch)) throw Error("DEVICE_FAILED", "A graph launch was refused (emulated fault).");
  for (auto& work : graph->work) stream->push(work);
}

void destroy_graph(Graph graph) noexcept { delete graph; }

namespace {

void check_zones(const char* kernel) {
  if (kZonesWatched) return;
  std::lock_guard lock(g_mutex);
  for (auto& [start, allocation] : g_allocations) {
    const unsigned char* zones[] = {allocation.base, allocation.base + kZone + allocation.bytes};
    // The nearest bytes are the likeliest victims; looking at all would cost more than the kernels.
    for (int side = 0; side < 2; side++) {
      const unsigned char* near = side == 0 ? zones[0] + kZone - 64 : zones[1];
      for (int i = 0; i < 64; i++)
        if (near[i] != kZonePattern)
          throw emu::KernelFault("out of bounds", std::string(kernel) + ": wrote " +
                                                      (side == 0 ? "before" : "past the end of") +
                                                      " a device allocation of " + std::to_string(allocation.bytes) +
                                                      " bytes");
    }
  }
}

}  // namespace

uint64_t kernel_launches() { return t_launches; }

void launch_body(Stream stream, const char* name, emu::Index3 grid, emu::Index3 block, size_t shared_bytes,
                 std::function<void()> body) {
  if (strike(Fault::launch))
    throw Error("DEVICE_FAILED", std::string("The launch of ") + name + " was refused (emulated fault).");
  if (strike(Fault::device_lost)) g_lost[t_device] = true;
  require_alive();
  t_launches++;
  auto shape = std::make_shared<emu::LaunchShape>(emu::LaunchShape{name, grid, block, shared_bytes});
  stream->push([shape, body = std::move(body)] {
    try {
      emu::run_grid(*shape, body);
      check_zones(shape->kernel);
    } catch (const emu::KernelFault& fault) {
      throw Error("DEVICE_FAILED", std::string("Kernel fault (") + fault.kind() + "): " + fault.what() + ".");
    }
  });
}

}  // namespace glimt::rt
