// The block scheduler: runs fibers until each waits or ends, and names what hangs.
#include "block.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

namespace glimt::emu {

namespace {

constexpr unsigned kMaxThreads = 1024;
// What every supported GPU grants (compute capability 8.6 and 8.9 have the least).
constexpr size_t kMaxSharedBytes = 99 * 1024;
// What Hopper grants, where kernels with wgmma run.
constexpr size_t kMaxSharedBytesOfHopper = 227 * 1024;
constexpr unsigned char kZonePattern = 0xA5;

std::atomic<Schedule> g_schedule{Schedule::in_order};
std::atomic<uint64_t> g_seed{1};

thread_local Block* t_block = nullptr;

// Threads (with their stacks) are kept from block to block.
struct ThreadPool {
  std::vector<std::unique_ptr<Thread>> threads;
};
thread_local ThreadPool t_pool;

uint64_t next_random(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

std::string format_index(Index3 index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}

std::string format_site(const std::source_location& site) {
  std::string file = site.file_name();
  auto slash = file.rfind('/');
  if (slash != std::string::npos) file = file.substr(slash + 1);
  return file + ":" + std::to_string(site.line());
}

}  // namespace

Block* current_block() { return t_block; }
Index3 thread_index() { return t_block->thread().index; }
Index3 block_index() { return t_block->block_index(); }
Index3 block_shape() { return t_block->shape().block; }
Index3 grid_shape() { return t_block->shape().grid; }

void set_schedule(Schedule schedule, uint64_t seed) {
  g_schedule = schedule;
  g_seed = seed ? seed : 1;
}

void run_grid(const LaunchShape& shape, const std::function<void()>& body) {
  const auto refuse = [&](const std::string& what) {
    throw KernelFault("launch configuration", std::string(shape.kernel) + ": " + what);
  };
  const unsigned count = shape.block.x * shape.block.y * shape.block.z;
  if (count == 0 || count > kMaxThreads) refuse(std::to_string(count) + " threads in a block");
  if (shape.grid.x == 0 || shape.grid.y == 0 || shape.grid.z == 0) refuse("an empty grid");
  if (shape.grid.x > 0x7fffffffu || shape.grid.y > 65535 || shape.grid.z > 65535)
    refuse("a grid of " + format_index(shape.grid));
  const auto refuse_shared = [&] { refuse(std::to_string(shape.shared_bytes) + " bytes of shared memory"); };
  if (shape.shared_bytes > kMaxSharedBytesOfHopper) refuse_shared();
  if (t_block) refuse("launched from inside a kernel");

  Block block(shape, body);
  struct Restore {
    ~Restore() { t_block = nullptr; }
  } restore;
  t_block = &block;
  note_launch_started();
  for (unsigned z = 0; z < shape.grid.z; z++)
    for (unsigned y = 0; y < shape.grid.y; y++)
      for (unsigned x = 0; x < shape.grid.x; x++) block.run({x, y, z});
  if (shape.shared_bytes > kMaxSharedBytes && !block.uses_wgmma()) refuse_shared();
}

Block::Block(const LaunchShape& shape, const std::function<void()>& body) : shape_(shape), body_(body) {
  const unsigned count = shape.block.x * shape.block.y * shape.block.z;
  while (t_pool.threads.size() < count) t_pool.threads.push_back(std::make_unique<Thread>());
  const unsigned warps = (count + 31) / 32;
  lanes_.assign(warps * 32, nullptr);
  collectives_.assign(warps * 4, {});
  for (unsigned i = 0; i < count; i++) {
    Thread* thread = t_pool.threads[i].get();
    thread->index = {i % shape.block.x, i / shape.block.x % shape.block.y, i / (shape.block.x * shape.block.y)};
    thread->linear = i;
    thread->lane = i % 32;
    thread->warp = i / 32;
    threads_.push_back(thread);
    lanes_[i] = thread;
    order_.push_back(i);
  }
  if (g_schedule == Schedule::reversed) std::reverse(order_.begin(), order_.end());
  // With a red zone on both sides, so that it is aligned to 256 and never to more.
  const size_t bytes = (shape.shared_bytes + 63) / 64 * 64 + 2 * kRedZone;
  shared_ = static_cast<unsigned char*>(std::aligned_alloc(1024, (bytes + 1023) / 1024 * 1024));
  if (!shared_) throw std::bad_alloc();
}

Block::~Block() {
  std::free(shared_);
  for (auto& memory : statics_) std::free(memory.memory);
}

void Block::start_shared() {
  const size_t bytes = shape_.shared_bytes;
  std::memset(shared_, kZonePattern, kRedZone);
  std::memset(shared_ + kRedZone, 0xFF, bytes);
  std::memset(shared_ + kRedZone + bytes, kZonePattern, kRedZone);
  note_block_started();
  for (auto& memory : statics_) {
    std::memset(memory.memory, kZonePattern, kRedZone);
    std::memset(memory.memory + kRedZone, 0xFF, memory.bytes);
    std::memset(memory.memory + kRedZone + memory.bytes, kZonePattern, kRedZone);
  }
}

void Block::check_red_zones() {
  const auto intact = [](const unsigned char* zone) {
    return std::all_of(zone, zone + kRedZone, [](unsigned char byte) { return byte == kZonePattern; });
  };
  bool good = intact(shared_) && intact(shared_ + kRedZone + shape_.shared_bytes);
  for (auto& memory : statics_) good = good && intact(memory.memory) && intact(memory.memory + kRedZone + memory.bytes);
  if (good) return;
  throw KernelFault("out of bounds", std::string(shape_.kernel) + ", block " + format_index(block_index_) +
                                         ": wrote outside its shared memory");
}

void Block::run(Index3 index) {
  block_index_ = index;
  start_shared();
  waiting_ = 0;
  epoch_++;
  live_ = static_cast<unsigned>(threads_.size());
  for (auto& collective : collectives_) collective = {};
  for (auto& warpgroup : warpgroups_) warpgroup = std::make_unique<Warpgroup>(warpgroup->number());
  for (Thread* thread : threads_) {
    thread->state = State::ready;
    thread->started = false;
    thread->proxy_fences = thread->proxy_fences_at_barrier = 0;
    thread->open.clear();
    thread->committed.clear();
    thread->fiber.reset(&Block::entry);
  }
  uint64_t random = g_seed + index.x * 7919 + index.y * 104729 + index.z;
  if (random == 0) random = 1;
  while (live_ > 0) {
    if (g_schedule == Schedule::shuffled)
      for (size_t i = order_.size(); i > 1; i--) std::swap(order_[i - 1], order_[next_random(random) % i]);
    position_ = 0;
    Thread* first = next_ready();
    if (!first) explain_deadlock();
    on_fiber_ = true;
    resume(*first, scheduler_);
    on_fiber_ = false;
    if (!fault_.empty()) throw KernelFault(fault_kind_, fault_);
  }
  check_red_zones();
}

void Block::entry() {
  Block& block = *t_block;
  Fiber::entered(*block.resumed_by_);
  block.body_();
  Thread& self = *block.current_;
  if (!self.started) block.fail("missing wait", "ends without start_kernel: it may run before its inputs are there");
  const bool unfinished = !self.open.empty() ||
                          std::any_of(self.committed.begin(), self.committed.end(), [](auto& g) { return !g.empty(); });
  if (unfinished) block.fail("missing wait", "ends while its cp.async copies are under way");
  if (block.uses_wgmma() && !block.warpgroup().idle())
    block.fail("missing wait", "ends while a wgmma of its warpgroup is under way");
  self.state = State::done;
  block.live_--;
  block.yield();
  std::abort();
}

Thread* Block::next_ready() {
  while (position_ < order_.size()) {
    Thread* thread = threads_[order_[position_++]];
    if (thread->state == State::ready) return thread;
  }
  return nullptr;
}

void Block::resume(Thread& thread, Fiber& from) {
  current_ = &thread;
  resumed_by_ = &from;
  thread.fiber.resume(from);
}

void Block::yield() {
  Thread* self = current_;
  // Without a detour, which would cost as much again.
  if (Thread* next = fault_.empty() ? next_ready() : nullptr)
    resume(*next, self->fiber);
  else
    scheduler_.resume(self->fiber);
}

void Block::fail(const char* kind, const std::string& what) {
  fault_kind_ = kind;
  fault_ = where(*current_) + ": " + what;
  yield();
  std::abort();
}

std::string Block::where(const Thread& thread) const {
  return std::string(shape_.kernel) + ", block " + format_index(block_index_) + ", thread " +
         format_index(thread.index);
}

void Block::barrier(std::source_location site) {
  Thread& self = *current_;
  self.site = site;
  self.state = State::at_barrier;
  if (++waiting_ < threads_.size()) {
    yield();
    return;
  }
  for (Thread* thread : threads_) {
    if (thread->site.line() != site.line() || std::strcmp(thread->site.file_name(), site.file_name()) != 0) {
      fail("divergent barrier", "waits at __syncthreads of " + format_site(site) + " while thread " +
                                    format_index(thread->index) + " waits at that of " + format_site(thread->site));
    }
  }
  for (Thread* thread : threads_) {
    thread->state = State::ready;
    thread->proxy_fences_at_barrier = thread->proxy_fences;
  }
  waiting_ = 0;
  epoch_++;
}

bool Block::arrive(const char* name, uint32_t mask, std::source_location site) {
  Thread& self = *current_;
  self.site = site;
  if (!(mask >> self.lane & 1)) fail("divergent collective", std::string(name) + ": its mask leaves this lane out");
  Collective* free = nullptr;
  for (unsigned i = 0; i < 4; i++) {
    Collective& pending = collectives_[self.warp * 4 + i];
    if (!pending.arrived) {
      if (!free) free = &pending;
      continue;
    }
    if (!(pending.mask & mask)) continue;
    if (pending.mask != mask || std::strcmp(pending.name, name) != 0) {
      fail("divergent collective", std::string(name) + " at " + format_site(site) + " meets " + pending.name +
                                       " of other lanes of its warp");
    }
    pending.arrived |= self.lane < 32 ? 1u << self.lane : 0;
    if (pending.arrived != mask) {
      self.state = State::at_collective;
      return false;
    }
    pending = {};
    for (unsigned lane = 0; lane < 32; lane++)
      if (mask >> lane & 1) warp_thread(self.warp, lane)->state = State::ready;
    return true;
  }
  for (unsigned lane = 0; lane < 32; lane++) {
    if (!(mask >> lane & 1)) continue;
    Thread* other = warp_thread(self.warp, lane);
    if (!other || other->state == State::done)
      fail("divergent collective", std::string(name) + " at " + format_site(site) + " waits for lane " +
                                       std::to_string(lane) + ", which has ended or does not exist");
  }
  if (mask == (1u << self.lane)) return true;
  *free = {name, mask, 1u << self.lane};
  self.state = State::at_collective;
  return false;
}

bool Block::arrive_warpgroup(const char* instruction, std::source_location site) {
  Thread& self = *current_;
  constexpr unsigned kThreads = Warpgroup::kThreads;
  if (self.linear / kThreads * kThreads + kThreads > threads_.size())
    fail("divergent collective", std::string(instruction) + " at " + format_site(site) +
                                     " by a warpgroup of fewer than 128 threads");
  if (warpgroups_.empty())
    for (unsigned number = 0; number < threads_.size() / kThreads; number++)
      warpgroups_.push_back(std::make_unique<Warpgroup>(number));
  Warpgroup& group = warpgroup();
  if (group.arrived == 0) {
    group.instruction = instruction;
    group.site = site;
  } else if (std::strcmp(group.instruction, instruction) != 0 || group.site.line() != site.line()) {
    fail("divergent collective", std::string(instruction) + " at " + format_site(site) + " meets " +
                                     group.instruction + " at " + format_site(group.site) +
                                     " of other threads of its warpgroup");
  }
  self.site = site;
  if (++group.arrived < kThreads) {
    self.state = State::at_collective;
    yield();
    return false;
  }
  group.arrived = 0;
  for (unsigned rank = 0; rank < kThreads; rank++) threads_[group.number() * kThreads + rank]->state = State::ready;
  return true;
}

bool Block::wgmma_uses(const void* address) const {
  if (warpgroups_.empty()) return false;
  const unsigned kThreads = Warpgroup::kThreads;
  const unsigned number = current_->linear / kThreads;
  return number < warpgroups_.size() && warpgroups_[number]->uses(current_->linear % kThreads, address);
}

void Block::explain_deadlock() {
  const Thread* barrier = nullptr;
  const Thread* collective = nullptr;
  const Thread* ended = nullptr;
  for (const Thread* thread : threads_) {
    if (thread->state == State::at_barrier && !barrier) barrier = thread;
    if (thread->state == State::at_collective && !collective) collective = thread;
    if (thread->state == State::done && !ended) ended = thread;
  }
  const Thread* stuck = collective ? collective : barrier;
  std::string text = where(*stuck) + ": waits for ever at " + format_site(stuck->site);
  if (collective && barrier)
    text += " while thread " + format_index(barrier->index) + " waits at __syncthreads of " + format_site(barrier->site);
  else if (ended)
    text += " while thread " + format_index(ended->index) + " has ended";
  throw KernelFault(collective ? "divergent collective" : "divergent barrier", text);
}

void Block::async_copy(void* to, const void* from, uint32_t bytes, uint32_t read) {
  if (reinterpret_cast<uintptr_t>(to) % bytes || (read && reinterpret_cast<uintptr_t>(from) % bytes))
    fail("misaligned access", "cp.async of " + std::to_string(bytes) + " bytes at a misaligned address");
  // Until the wait nobody may look: the place holds NaN.
  if (read) note_read(from, read);
  note_copy_started(to, bytes);
  std::memset(to, 0xFF, bytes);
  current_->open.push_back({to, from, bytes, read});
}

void Block::async_commit() {
  current_->committed.push_back(std::move(current_->open));
  current_->open.clear();
}

void Block::async_wait(unsigned pending) {
  auto& groups = current_->committed;
  while (groups.size() > pending) {
    for (const PendingCopy& copy : groups.front()) {
      std::memcpy(copy.to, copy.from, copy.read);
      std::memset(static_cast<char*>(copy.to) + copy.read, 0, copy.bytes - copy.read);
      note_copy_arrived(copy.to, copy.bytes);
    }
    groups.erase(groups.begin());
  }
}

void* Block::static_shared(const void* key, size_t bytes) {
  for (auto& memory : statics_)
    if (memory.key == key) return memory.memory + kRedZone;
  const size_t padded = (bytes + 255) / 256 * 256 + 2 * kRedZone;
  auto* memory = static_cast<unsigned char*>(std::aligned_alloc(256, padded));
  std::memset(memory, kZonePattern, padded);
  std::memset(memory + kRedZone, 0xFF, bytes);
  statics_.push_back({key, memory, bytes});
  return memory + kRedZone;
}

unsigned Block::shared_address(const void* pointer) const {
  const auto offset = static_cast<const unsigned char*>(pointer) - (shared_ + kRedZone);
  const bool inside = offset >= 0 && offset <= static_cast<ptrdiff_t>(shape_.shared_bytes);
  return inside ? static_cast<unsigned>(offset + kRedZone) : 0;
}

const void* Block::shared_at(unsigned address, size_t bytes) const {
  return address >= kRedZone && address + bytes <= kRedZone + shape_.shared_bytes ? shared_ + address : nullptr;
}

bool Block::shared_range(const void* address, const unsigned char** begin, const unsigned char** end) const {
  auto* at = static_cast<const unsigned char*>(address);
  const auto inside = [&](const unsigned char* memory, size_t bytes) {
    if (at < memory || at >= memory + bytes + 2 * kRedZone) return false;
    *begin = memory + kRedZone;
    *end = memory + kRedZone + bytes;
    return true;
  };
  if (inside(shared_, shape_.shared_bytes)) return true;
  for (auto& memory : statics_)
    if (inside(memory.memory, memory.bytes)) return true;
  return false;
}

}  // namespace glimt::emu
