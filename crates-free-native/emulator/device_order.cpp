#include "device_order.h"

#include <map>
#include <vector>

#include "block.h"

namespace glimt::emu {

namespace {

struct Write {
  uint32_t block;
  unsigned thread;
  // Of the thread so far; barriers of the block and of the warp.
  uint32_t fences, epoch, step;
  bool is_atomic;
};

struct Update {
  const void* address;
  uint32_t block;
  unsigned thread;
  uint32_t fences, epoch;
};

struct Launch {
  // By stamp, from `first_stamp` on.
  std::vector<Write> writes;
  uint32_t first_stamp = kWrittenBefore + 1;
  // In the order they happened.
  std::vector<Update> updates;
  // The epochs of a thread's fences, by block and thread.
  std::map<std::pair<uint32_t, unsigned>, std::vector<uint32_t>> fences;
  uint32_t block = 0;
  // Last stamp of each thread of the running block; 0 for none.
  std::vector<uint32_t> stamps;
};
thread_local Launch t_launch;

const std::vector<uint32_t>& fences_of(uint32_t block, unsigned thread) {
  static const std::vector<uint32_t> none;
  // Most kernels have none.
  if (t_launch.fences.empty()) return none;
  const auto found = t_launch.fences.find({block, thread});
  return found == t_launch.fences.end() ? none : found->second;
}

uint32_t fence_count(uint32_t block, unsigned thread) {
  return static_cast<uint32_t>(fences_of(block, thread).size());
}

// Its own thread fenced behind it and then met the update's; or they met, and the update's thread fenced.
bool is_released(const Write& write, const Update& update) {
  const auto& own = fences_of(write.block, write.thread);
  if (own.size() > write.fences &&
      (write.thread == update.thread ? update.fences > write.fences : own[write.fences] < update.epoch))
    return true;
  return update.fences > 0 && fences_of(update.block, update.thread)[update.fences - 1] > write.epoch;
}

// The other way round: the update's thread fenced behind it and then met this one; or they met, and this one fenced.
bool is_acquired(const Update& update, Block& block) {
  const Thread& self = block.thread();
  const auto& theirs = fences_of(update.block, update.thread);
  if (theirs.size() > update.fences && (update.thread == self.linear || theirs[update.fences] < block.epoch()))
    return true;
  const auto& own = fences_of(update.block, self.linear);
  return !own.empty() && own.back() > update.epoch;
}

const char* between_blocks(const Write& write, const void* address, bool is_atomic) {
  Block& block = *current_block();
  const auto& updates = t_launch.updates;
  const char* complaint = "another block wrote, without an atomic update of both that orders them";
  if (write.is_atomic) {
    if (is_atomic) return nullptr;
    // The word itself is what both update.
    for (const Update& update : updates)
      if (update.block == t_launch.block && update.address == address &&
          (update.thread == block.thread().linear || update.epoch < block.epoch()))
        return nullptr;
    return complaint;
  }
  for (size_t theirs = 0; theirs < updates.size(); theirs++) {
    if (updates[theirs].block != write.block) continue;
    for (size_t ours = theirs + 1; ours < updates.size(); ours++) {
      if (updates[ours].block != t_launch.block || updates[ours].address != updates[theirs].address) continue;
      const bool released = is_released(write, updates[theirs]);
      if (released && is_acquired(updates[ours], block)) return nullptr;
      complaint = released ? "another block wrote, without a __threadfence behind the atomic update"
                           : "another block wrote, without a __threadfence before its atomic update";
    }
  }
  return complaint;
}

}  // namespace

void device_order_launch_started() {
  Launch& launch = t_launch;
  launch.first_stamp += static_cast<uint32_t>(launch.writes.size());
  launch.writes.clear();
  launch.updates.clear();
  launch.fences.clear();
  launch.block = 0;
}

void device_order_block_started() {
  t_launch.block++;
  t_launch.stamps.clear();
}

void device_order_fence() {
  Block& block = *current_block();
  t_launch.fences[{t_launch.block, block.thread().linear}].push_back(block.epoch());
}

void device_order_update(const void* address) {
  Block& block = *current_block();
  const unsigned thread = block.thread().linear;
  t_launch.updates.push_back({address, t_launch.block, thread, fence_count(t_launch.block, thread), block.epoch()});
}

uint32_t device_order_stamp(bool is_atomic) {
  Block& block = *current_block();
  const Thread& self = block.thread();
  const Write write{t_launch.block, self.linear, fence_count(t_launch.block, self.linear), block.epoch(), self.step,
                    is_atomic};
  if (t_launch.stamps.size() <= self.linear) t_launch.stamps.resize(self.linear + 1);
  uint32_t& stamp = t_launch.stamps[self.linear];
  if (stamp) {
    const Write& last = t_launch.writes[stamp - t_launch.first_stamp];
    if (last.fences == write.fences && last.epoch == write.epoch && last.step == write.step &&
        last.is_atomic == is_atomic)
      return stamp;
  }
  t_launch.writes.push_back(write);
  stamp = t_launch.first_stamp + static_cast<uint32_t>(t_launch.writes.size()) - 1;
  return stamp;
}

const char* device_order_complaint(uint32_t stamp, const void* address, bool is_atomic) {
  if (stamp < t_launch.first_stamp || stamp - t_launch.first_stamp >= t_launch.writes.size()) return nullptr;
  const Write& write = t_launch.writes[stamp - t_launch.first_stamp];
  if (write.block != t_launch.block) return between_blocks(write, address, is_atomic);
  Block& block = *current_block();
  const Thread& self = block.thread();
  const bool same_warp = write.thread / 32 == self.warp;
  if (write.thread == self.linear || write.epoch != block.epoch() || (same_warp && write.step != self.step) ||
      (write.is_atomic && is_atomic))
    return nullptr;
  return "another thread of the block wrote, without a barrier";
}

}  // namespace glimt::emu
