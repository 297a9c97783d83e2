#include "access_check.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "../runtime/emulator_control.h"
#include "block.h"
#include "device_order.h"

namespace glimt::emu {

namespace {

// ---- device memory: who wrote each byte ----

struct Device {
  const unsigned char* begin = nullptr;
  const unsigned char* end = nullptr;
  // nullptr: the address is in a red zone. See device_order.h.
  uint32_t* stamps = nullptr;
};

std::mutex g_mutex;
std::map<const unsigned char*, std::vector<uint32_t>> g_stamps;
std::atomic<uint64_t> g_version{1};

// The allocation around an address, red zones included; the last few are remembered.
const Device* find_device(const unsigned char* address) {
  struct Entry {
    Device device;
    uint64_t version = 0;
  };
  static thread_local Entry cache[8];
  static thread_local unsigned next = 0;
  const uint64_t version = g_version.load(std::memory_order_relaxed);
  constexpr size_t kZone = 4096;
  for (Entry& entry : cache)
    if (entry.version == version && address >= entry.device.begin - kZone && address < entry.device.end + kZone)
      return &entry.device;
  Device found;
  if (!rt::find_allocation(address, &found.begin, &found.end)) return nullptr;
  {
    std::lock_guard lock(g_mutex);
    auto& stamps = g_stamps[found.begin];
    stamps.resize(static_cast<size_t>(found.end - found.begin));
    found.stamps = stamps.data();
  }
  Entry& entry = cache[next++ % 8];
  entry = {found, version};
  return &entry.device;
}

// ---- shared memory: who touched each byte last ----

constexpr uint16_t kNobody = 0xffff, kMany = 0xfffe;
// The writers of an atomic update; of no warp.
constexpr uint16_t kAtomic = 0xfffd;

struct Cell {
  uint32_t block = 0;  // generation of the block that wrote it
  uint32_t write_epoch = 0, write_step = 0, read_epoch = 0, read_step = 0;
  uint32_t writer_fences = 0;  // fence.proxy.async its writer had executed
  uint16_t writer = kNobody, reader = kNobody;  // readers: a thread, or kMany
  uint16_t reader_warp = kNobody;               // kMany: of several warps
  uint16_t wgmmas = 0;  // that read it now
  bool pending = false;
  // Of the first of four: it stands for the other three too, which are out of date.
  bool whole = false;

  bool operator==(const Cell&) const = default;
};

// A cell for each byte. Most accesses touch four or more at once, which then need one look instead of four.
class Cells {
 public:
  void grow(size_t bytes) {
    if (cells_.size() < bytes) cells_.resize((bytes + kWhole - 1) / kWhole * kWhole);
  }
  // body(cell, byte) for bytes [offset, offset + bytes), or for the first of four that are alike.
  template <class Body>
  void each(size_t offset, size_t bytes, Body&& body) {
    for (size_t i = offset; i < offset + bytes;) {
      Cell* first = &cells_[i / kWhole * kWhole];
      const bool all = i % kWhole == 0 && i + kWhole <= offset + bytes;
      if (all && !first->whole) first->whole = first[1] == first[0] && first[2] == first[0] && first[3] == first[0];
      if (!all && first->whole) {
        first->whole = false;
        std::fill_n(first + 1, kWhole - 1, *first);
      }
      body(cells_[i], i);
      i += first->whole ? kWhole : 1;
    }
  }

 private:
  static constexpr size_t kWhole = 4;
  std::vector<Cell> cells_;
};

struct Shadow {
  std::map<const unsigned char*, Cells> ranges;
  // The last of them that was looked at.
  const unsigned char* begin = nullptr;
  Cells* cells = nullptr;
  uint32_t generation = 0;
};
thread_local Shadow t_shadow;

Cells& cells_of(const unsigned char* begin, const unsigned char* end) {
  Shadow& shadow = t_shadow;
  if (shadow.begin != begin) {
    shadow.begin = begin;
    shadow.cells = &shadow.ranges[begin];
  }
  shadow.cells->grow(static_cast<size_t>(end - begin));
  return *shadow.cells;
}

std::string describe_thread(const Block& block, unsigned linear) {
  if (linear == kAtomic) return "an atomic operation of another thread";
  const auto& shape = block.shape().block;
  return "thread (" + std::to_string(linear % shape.x) + ", " + std::to_string(linear / shape.x % shape.y) + ", " +
         std::to_string(linear / (shape.x * shape.y)) + ")";
}

// Is an access of `thread` now ordered after one at (epoch, step) by a thread of `warp`?
bool ordered(const Block& block, const Thread& self, uint32_t epoch, uint32_t step, unsigned warp) {
  return epoch != block.epoch() || (warp == self.warp && step != self.step);
}

void shared_read(Block& block, Cells& cells, size_t offset, size_t bytes, bool whole_warp) {
  const Thread& self = block.thread();
  cells.each(offset, bytes, [&](Cell& cell, size_t i) {
    const auto at = [&] { return " (byte " + std::to_string(i) + " of shared memory)"; };
    if (cell.pending && cell.block == t_shadow.generation) block.fail("missing wait", "reads what a cp.async has not delivered" + at());
    if (cell.block != t_shadow.generation) block.fail("uninitialised read", "reads shared memory that nobody wrote" + at());
    if (cell.writer != kNobody && cell.writer != self.linear &&
        !ordered(block, self, cell.write_epoch, cell.write_step, cell.writer / 32))
      block.fail("data race", "reads what " + describe_thread(block, cell.writer) + " wrote, without a barrier" + at());
    if (cell.read_epoch != block.epoch()) cell.reader = cell.reader_warp = kNobody;
    if (cell.reader == kNobody) {
      cell.reader = whole_warp ? kMany : static_cast<uint16_t>(self.linear);
      cell.reader_warp = static_cast<uint16_t>(self.warp);
    } else {
      if (cell.reader != self.linear || whole_warp) cell.reader = kMany;
      if (cell.reader_warp != self.warp) cell.reader_warp = kMany;
    }
    cell.read_epoch = block.epoch();
    cell.read_step = self.step;
  });
}

enum class Write { plain, copy, atomic };

void shared_write(Block& block, Cells& cells, size_t offset, size_t bytes, Write how) {
  const Thread& self = block.thread();
  cells.each(offset, bytes, [&](Cell& cell, size_t i) {
    const auto at = [&] { return " (byte " + std::to_string(i) + " of shared memory)"; };
    if (cell.pending && cell.block == t_shadow.generation && how != Write::copy) block.fail("data race", "writes where a cp.async is under way" + at());
    if (cell.wgmmas && cell.block == t_shadow.generation)
      block.fail("data race", "writes what a wgmma under way reads" + at());
    if (how == Write::atomic && cell.block != t_shadow.generation)
      block.fail("uninitialised read", "updates shared memory that nobody wrote" + at());
    const bool both_atomic = how == Write::atomic && cell.writer == kAtomic;
    if (cell.block == t_shadow.generation && cell.writer != kNobody && cell.writer != self.linear && !both_atomic &&
        !ordered(block, self, cell.write_epoch, cell.write_step, cell.writer / 32))
      block.fail("data race", "writes what " + describe_thread(block, cell.writer) + " wrote, without a barrier" + at());
    const bool read_now = cell.block == t_shadow.generation && cell.reader != kNobody && cell.read_epoch == block.epoch();
    if (read_now && cell.reader != self.linear &&
        (cell.reader_warp != self.warp || cell.read_step == self.step))
      block.fail("data race", "writes what " +
                                  (cell.reader == kMany ? "other threads" : describe_thread(block, cell.reader)) +
                                  " read, without a barrier" + at());
    cell.block = t_shadow.generation;
    cell.pending = false;
    cell.wgmmas = 0;
    cell.writer = how == Write::atomic ? kAtomic : static_cast<uint16_t>(self.linear);
    cell.writer_fences = self.proxy_fences;
    cell.write_epoch = block.epoch();
    cell.write_step = self.step;
    if (!read_now) cell.reader = cell.reader_warp = kNobody;
  });
}

enum class Kind { read, warp_read, write, atomic };

void look(const void* pointer, size_t bytes, Kind kind, size_t alignment) {
  Block* block = current_block();
  if (!block || !block->on_fiber()) return;
  auto* address = static_cast<const unsigned char*>(pointer);
  // The thread's own variables, which are most of what it touches: nobody else knows them, but a wgmma.
  if (block->thread().fiber.holds(address)) {
    if (block->wgmma_uses(address)) block->fail("missing wait", "touches a register that a wgmma under way uses");
    return;
  }
  const unsigned char *begin = nullptr, *end = nullptr;
  const bool shared = block->shared_range(address, &begin, &end);
  const Device* device = shared ? nullptr : find_device(address);
  if (!shared && !device) return;
  if (device) {
    begin = device->begin;
    end = device->end;
  }
  if (device && !block->thread().started)
    block->fail("missing wait", "touches device memory before start_kernel, while the kernel before may still run");
  const bool writes = kind == Kind::write || kind == Kind::atomic;
  const char* verb = writes ? "writes " : "reads ";
  const auto place = [&] {
    return std::to_string(bytes) + " bytes at byte " + std::to_string(address - begin) + " of " +
           std::to_string(end - begin) + (shared ? " of shared memory" : " of a device allocation");
  };
  if (address < begin || address + bytes > end) block->fail("out of bounds", verb + place());
  if (reinterpret_cast<uintptr_t>(address) % alignment)
    block->fail("misaligned access", verb + place() + ", which is not aligned to " + std::to_string(alignment));
  const auto offset = static_cast<size_t>(address - begin);
  if (shared) {
    auto& cells = cells_of(begin, end);
    if (writes)
      shared_write(*block, cells, offset, bytes, kind == Kind::atomic ? Write::atomic : Write::plain);
    else
      shared_read(*block, cells, offset, bytes, kind == Kind::warp_read);
    return;
  }
  const bool is_atomic = kind == Kind::atomic;
  uint32_t seen = kWrittenBefore;
  for (size_t i = offset; i < offset + bytes; i++) {
    const uint32_t stamp = device->stamps[i];
    if (kind != Kind::write && stamp == kNotWritten)
      block->fail("uninitialised read", "reads " + place() + ", which nobody wrote");
    if (stamp == seen || stamp <= kWrittenBefore) continue;
    seen = stamp;
    if (const char* complaint = device_order_complaint(stamp, address, is_atomic))
      block->fail("data race", verb + place() + ", which " + complaint);
  }
  if (!writes) return;
  std::fill_n(device->stamps + offset, bytes, device_order_stamp(is_atomic));
  if (is_atomic) device_order_update(address);
}

}  // namespace

void note_read(const void* address, size_t bytes, bool whole_warp) {
  look(address, bytes, whole_warp ? Kind::warp_read : Kind::read, 1);
}
void note_write(const void* address, size_t bytes) { look(address, bytes, Kind::write, 1); }
void note_atomic(const void* address, size_t bytes) { look(address, bytes, Kind::atomic, bytes); }

void note_copy_started(const void* address, size_t bytes) {
  Block& block = *current_block();
  const unsigned char *begin, *end;
  auto* at = static_cast<const unsigned char*>(address);
  if (!block.shared_range(at, &begin, &end)) block.fail("out of bounds", "cp.async writes outside of shared memory");
  if (at < begin || at + bytes > end) block.fail("out of bounds", "cp.async writes outside of shared memory");
  auto& cells = cells_of(begin, end);
  shared_write(block, cells, static_cast<size_t>(at - begin), bytes, Write::copy);
  cells.each(static_cast<size_t>(at - begin), bytes, [](Cell& cell, size_t) { cell.pending = true; });
}

void note_copy_arrived(const void* address, size_t bytes) {
  Block& block = *current_block();
  const unsigned char *begin, *end;
  auto* at = static_cast<const unsigned char*>(address);
  if (!block.shared_range(at, &begin, &end)) return;
  auto& cells = cells_of(begin, end);
  cells.each(static_cast<size_t>(at - begin), bytes, [&](Cell& cell, size_t) {
    cell.pending = false;
    cell.writer = static_cast<uint16_t>(block.thread().linear);
    cell.writer_fences = block.thread().proxy_fences;
    cell.write_epoch = block.epoch();
    cell.write_step = block.thread().step;
  });
}

void note_wgmma_read_started(const void* address, size_t bytes) {
  Block& block = *current_block();
  const unsigned char *begin, *end;
  auto* from = static_cast<const unsigned char*>(address);
  if (!block.shared_range(from, &begin, &end)) return;
  cells_of(begin, end).each(static_cast<size_t>(from - begin), bytes, [&](Cell& cell, size_t i) {
    const auto at = [&] { return " (byte " + std::to_string(i) + " of shared memory)"; };
    if (cell.block != t_shadow.generation)
      block.fail("uninitialised read", "wgmma reads shared memory that nobody wrote" + at());
    if (cell.pending) block.fail("missing wait", "wgmma reads what a cp.async has not delivered" + at());
    // The other warps of the warpgroup read it too.
    if (cell.write_epoch == block.epoch())
      block.fail("data race", "wgmma reads what " + describe_thread(block, cell.writer) + " wrote, without a barrier" + at());
    if (cell.writer == kAtomic || block.thread_at(cell.writer).proxy_fences_at_barrier <= cell.writer_fences)
      block.fail("missing fence", "wgmma reads what " + describe_thread(block, cell.writer) +
                                      " wrote, without its fence.proxy.async before the barrier" + at());
    cell.wgmmas++;
  });
}

void note_wgmma_read_ended(const void* address, size_t bytes) {
  Block& block = *current_block();
  const unsigned char *begin, *end;
  auto* from = static_cast<const unsigned char*>(address);
  if (!block.shared_range(from, &begin, &end)) return;
  cells_of(begin, end).each(static_cast<size_t>(from - begin), bytes, [&](Cell& cell, size_t) {
    cell.wgmmas--;
    // Until a barrier, nobody knows that all four warps have waited.
    cell.reader = cell.reader_warp = kMany;
    cell.read_epoch = block.epoch();
    cell.read_step = block.thread().step;
  });
}

void note_fence() { device_order_fence(); }
void note_launch_started() { device_order_launch_started(); }

void note_block_started() {
  device_order_block_started();
  // Cells of an older generation count as untouched.
  t_shadow.generation++;
  if (t_shadow.ranges.size() <= 64) return;
  t_shadow.ranges.clear();
  t_shadow.begin = nullptr;
}

void note_device_memory(const void* address, size_t bytes, bool written) {
  auto* at = static_cast<const unsigned char*>(address);
  const Device* device = find_device(at);
  if (!device) return;
  std::fill_n(device->stamps + (at - device->begin), bytes, written ? kWrittenBefore : kNotWritten);
}

void note_device_memory_freed(const void* address) {
  std::lock_guard lock(g_mutex);
  g_stamps.erase(static_cast<const unsigned char*>(address));
  g_version++;
}

namespace {
// What the compiler's instrumentation calls.
void checked_read(void* address, size_t bytes) { look(address, bytes, Kind::read, bytes); }
void checked_write(void* address, size_t bytes) { look(address, bytes, Kind::write, bytes); }
}  // namespace

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_read_range(void* address, size_t bytes) { look(address, bytes, Kind::read, 1); }
void __tsan_write_range(void* address, size_t bytes) { look(address, bytes, Kind::write, 1); }
#define GLIMT_ACCESS(bytes)                                                                    \
  void __tsan_read##bytes(void* address) { checked_read(address, bytes); }                     \
  void __tsan_write##bytes(void* address) { checked_write(address, bytes); }                   \
  void __tsan_volatile_read##bytes(void* address) { checked_read(address, bytes); }            \
  void __tsan_volatile_write##bytes(void* address) { checked_write(address, bytes); }          \
  void __tsan_unaligned_read##bytes(void* address) { look(address, bytes, Kind::read, 1); }    \
  void __tsan_unaligned_write##bytes(void* address) { look(address, bytes, Kind::write, 1); }
GLIMT_ACCESS(1)
GLIMT_ACCESS(2)
GLIMT_ACCESS(4)
GLIMT_ACCESS(8)
GLIMT_ACCESS(16)
#undef GLIMT_ACCESS
// Kernels' own atomics call note_atomic; what remains is the standard library's (reference counts).
int __tsan_atomic32_fetch_add(volatile int* address, int value, int) { return __atomic_fetch_add(address, value, 5); }
int __tsan_atomic32_load(const volatile int* address, int) { return __atomic_load_n(address, 5); }
signed char __tsan_atomic8_load(const volatile signed char* address, int) { return __atomic_load_n(address, 5); }
long __tsan_atomic64_load(const volatile long* address, int) { return __atomic_load_n(address, 5); }
}

}  // namespace glimt::emu
