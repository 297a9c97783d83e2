// One block of CUDA threads on the CPU: fibers, barriers, warp collectives, shared memory, cp.async.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <source_location>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "access_check.h"
#include "fiber.h"
#include "wgmma.h"

namespace glimt::emu {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

// What CUDA would leave undefined or hang on; the text names kernel, block, thread and source line.
class KernelFault : public std::runtime_error {
 public:
  KernelFault(std::string kind, const std::string& text) : std::runtime_error(text), kind_(std::move(kind)) {}
  // "divergent barrier", "divergent collective", "missing wait", "misaligned access", "out of bounds",
  // "uninitialised read", "data race", "missing fence", "wrong descriptor", "launch configuration".
  const std::string& kind() const { return kind_; }

 private:
  std::string kind_;
};

enum class Schedule { in_order, reversed, shuffled };

// Order in which runnable threads get their turn; process-wide.
void set_schedule(Schedule schedule, uint64_t seed);

struct LaunchShape {
  const char* kernel;
  Index3 grid, block;
  size_t shared_bytes;
};

// Runs all blocks one after another. Throws KernelFault.
void run_grid(const LaunchShape& shape, const std::function<void()>& body);

enum class State : uint8_t { ready, at_barrier, at_collective, done };

struct PendingCopy {
  void* to;
  const void* from;
  uint32_t bytes, read;
};

struct Thread {
  Fiber fiber;
  Index3 index;
  unsigned linear = 0, lane = 0, warp = 0;
  // Counts __syncwarp of the whole warp, as Block::epoch counts barriers.
  uint32_t step = 0;
  // It has waited for the kernels before (start_kernel).
  bool started = false;
  // fence.proxy.async it has executed, and had at the last barrier.
  uint32_t proxy_fences = 0, proxy_fences_at_barrier = 0;
  State state = State::done;
  std::source_location site;
  // Inputs and result of the warp collective this thread takes part in.
  alignas(16) unsigned char in[64];
  alignas(16) unsigned char out[64];
  // cp.async: copies of the open group, and of committed ones, oldest first.
  std::vector<PendingCopy> open;
  std::vector<std::vector<PendingCopy>> committed;
};

// What the lanes of a warp give to a collective, and receive. Only lanes of its mask may be looked at.
template <class In, class Out>
struct Lanes {
  Thread* const* threads;
  const In& in(unsigned lane) const { return *reinterpret_cast<const In*>(threads[lane]->in); }
  Out& out(unsigned lane) const { return *reinterpret_cast<Out*>(threads[lane]->out); }
};

struct Collective {
  const char* name = nullptr;
  uint32_t mask = 0, arrived = 0;
};

class Block {
 public:
  Block(const LaunchShape& shape, const std::function<void()>& body);
  ~Block();
  void run(Index3 index);

  // ---- called on fibers ----
  void barrier(std::source_location site);
  // Waits until every lane of `mask` arrived at `name`; the last to arrive computes all results.
  template <class In, class Out, class Compute>
  Out collective(const char* name, uint32_t mask, const In& in, std::source_location site, Compute compute) {
    static_assert(sizeof(In) <= sizeof(Thread::in) && sizeof(Out) <= sizeof(Thread::out));
    static_assert(std::is_trivially_copyable_v<In> && std::is_trivially_copyable_v<Out>);
    Thread& self = *current_;
    std::memcpy(self.in, &in, sizeof(In));
    if (arrive(name, mask, site))
      compute(Lanes<In, Out>{&warp_thread(self.warp, 0)});
    else
      yield();
    Out result;
    std::memcpy(&result, self.out, sizeof(Out));
    return result;
  }
  // Waits until all 128 threads of the warpgroup arrived at the same `instruction`; true for the last of them.
  bool arrive_warpgroup(const char* instruction, std::source_location site);
  void async_copy(void* to, const void* from, uint32_t bytes, uint32_t read);
  void async_commit();
  void async_wait(unsigned pending);
  unsigned char* dynamic_shared() { return shared_ + kRedZone; }
  size_t dynamic_shared_bytes() const { return shape_.shared_bytes; }
  // Memory of a __shared__ array, the same for all threads that ask with the same key.
  void* static_shared(const void* key, size_t bytes);
  [[noreturn]] void fail(const char* kind, const std::string& what);

  Thread& thread() { return *current_; }
  Thread& thread_at(unsigned linear) { return *threads_[linear]; }
  // Of the running thread; it has issued a wgmma, or is about to.
  Warpgroup& warpgroup() { return *warpgroups_[current_->linear / Warpgroup::kThreads]; }
  bool uses_wgmma() const { return !warpgroups_.empty(); }
  // Whether `address` is a register of the running thread that a wgmma under way uses.
  bool wgmma_uses(const void* address) const;
  bool on_fiber() const { return on_fiber_; }
  Index3 block_index() const { return block_index_; }
  const LaunchShape& shape() const { return shape_; }
  // The allocation of shared memory `address` lies in, for the access checker.
  bool shared_range(const void* address, const unsigned char** begin, const unsigned char** end) const;
  // Addresses as the hardware's instructions know them, of dynamic shared memory only: 0 and null for all else.
  unsigned shared_address(const void* pointer) const;
  const void* shared_at(unsigned address, size_t bytes) const;
  // Counts barriers, so that the access checker can tell accesses that a barrier separates.
  uint32_t epoch() const { return epoch_; }
  std::string where(const Thread& thread) const;

  static constexpr size_t kRedZone = 256;

 private:
  static void entry();
  // The next in this round that can go on; null at its end.
  Thread* next_ready();
  // Hands control to the next thread of the round, or back to `run`.
  void yield();
  void resume(Thread& thread, Fiber& from);
  bool arrive(const char* name, uint32_t mask, std::source_location site);
  Thread*& warp_thread(unsigned warp, unsigned lane) { return lanes_[warp * 32 + lane]; }
  void start_shared();
  void check_red_zones();
  void explain_deadlock();

  const LaunchShape& shape_;
  const std::function<void()>& body_;
  std::vector<Thread*> threads_, lanes_;
  std::vector<uint32_t> order_;
  std::vector<Collective> collectives_;
  // Empty until the first wgmma.
  std::vector<std::unique_ptr<Warpgroup>> warpgroups_;
  Thread* current_ = nullptr;
  bool on_fiber_ = false;
  Fiber scheduler_;
  // How far the round has come in `order_`; who resumed the running thread.
  size_t position_ = 0;
  Fiber* resumed_by_ = nullptr;
  Index3 block_index_;
  unsigned waiting_ = 0, live_ = 0;
  uint32_t epoch_ = 0;
  unsigned char* shared_ = nullptr;
  struct StaticShared {
    const void* key;
    unsigned char* memory;
    size_t bytes;
  };
  std::vector<StaticShared> statics_;
  std::string fault_kind_, fault_;
};

// The block whose fiber runs on this host thread; nullptr outside of kernels. A fiber never changes its host thread, so
// that a kernel's own code may keep the answers.
[[gnu::const]] Block* current_block();

// CUDA's built-in variables, by value: the access checker shall not look at how they are kept.
[[gnu::const]] Index3 thread_index();
[[gnu::const]] Index3 block_index();
[[gnu::const]] Index3 block_shape();
[[gnu::const]] Index3 grid_shape();

}  // namespace glimt::emu
