#include "group.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "runtime/error.h"

namespace glimt {

namespace {

// How soon an abort, or what NCCL says of itself, is noticed.
constexpr std::chrono::milliseconds kGlance{10};

// Many times the groups that a process opens at once.
constexpr size_t kMostFates = 256;

std::string format_seconds(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s" : std::to_string(time.count()) + " ms";
}

}  // namespace

// What the ranks of a group in this process have in common.
struct Group::Fate {
  std::mutex mutex;
  std::condition_variable changed;
  // Guarded by the mutex.
  std::string failure;

  // Under the mutex.
  void end(const std::string& reason) {
    if (failure.empty()) failure = reason;
    changed.notify_all();
  }
};

std::shared_ptr<Group::Fate> Group::fate_of(const rt::GroupId& id) {
  // The latest last. Groups that have ended are known for a while, to ranks that come too late.
  static std::mutex mutex;
  static std::deque<std::pair<rt::GroupId, std::shared_ptr<Fate>>> fates;
  std::lock_guard lock(mutex);
  const auto known = std::find_if(fates.begin(), fates.end(), [&](const auto& entry) { return entry.first == id; });
  if (known != fates.end()) return known->second;
  if (fates.size() == kMostFates) fates.pop_front();
  return fates.emplace_back(id, std::make_shared<Fate>()).second;
}

Group::Group(const rt::Seat& seat, int device, std::chrono::milliseconds deadline)
    : seat_(seat), deadline_(deadline), fate_(fate_of(seat.id)) {
  const auto late = std::chrono::steady_clock::now() + deadline;
  const auto keep_waiting = [&] {
    const std::string reason = failure();
    if (!reason.empty()) throw Error("GROUP_FAILED", reason);
    if (std::chrono::steady_clock::now() > late)
      throw Error("GROUP_FAILED", "Rank " + std::to_string(seat.rank) + " of a group of devices waited " +
                                      format_seconds(deadline) + " for the other " + std::to_string(seat.ranks - 1) +
                                      ".");
  };
  try {
    communicator_.emplace(seat, device, keep_waiting);
    guard_ = std::thread([this] { guard(); });
  } catch (const std::exception& error) {
    fail_all(seat.id, error.what());
    throw;
  }
}

Group::~Group() {
  leave();
  guard_.join();
}

std::string Group::name() const { return "Rank " + std::to_string(seat_.rank) + " of the group of devices"; }

void Group::fail(const std::string& reason) noexcept {
  std::lock_guard lock(fate_->mutex);
  fate_->end(name() + ": " + reason);
}

void Group::leave() noexcept {
  std::lock_guard lock(fate_->mutex);
  fate_->end(name() + " was closed.");
}

std::string Group::failure() const {
  std::lock_guard lock(fate_->mutex);
  return fate_->failure;
}

// All ranks abort by themselves, at once: NCCL wants that of the ranks of a machine.
void Group::guard() {
  std::unique_lock lock(fate_->mutex);
  while (fate_->failure.empty()) {
    if (!running_) {
      fate_->changed.wait(lock);
      continue;
    }
    if (abort_ && __atomic_load_n(abort_, __ATOMIC_RELAXED)) {
      fate_->end(name() + " was closed.");
    } else if (std::chrono::steady_clock::now() > ends_) {
      fate_->end(name() + " was not done with a run after " + format_seconds(deadline_) + ": another may hang.");
    } else {
      lock.unlock();
      const std::string failure = communicator_->failure();
      lock.lock();
      if (!failure.empty()) fate_->end(name() + ": " + failure + ".");
      else if (fate_->failure.empty()) fate_->changed.wait_for(lock, kGlance);
    }
  }
  lock.unlock();
  communicator_->abort();
}

Group::Run::Run(Group& group, const volatile int32_t* abort) : group_(group) {
  std::lock_guard lock(group.fate_->mutex);
  if (!group.fate_->failure.empty()) throw Error("GROUP_FAILED", group.fate_->failure);
  group.running_ = true;
  group.abort_ = abort;
  group.ends_ = std::chrono::steady_clock::now() + group.deadline_;
  group.fate_->changed.notify_all();
}

Group::Run::~Run() {
  std::lock_guard lock(group_.fate_->mutex);
  group_.running_ = false;
  group_.abort_ = nullptr;
}

void Group::fail_all(const rt::GroupId& id, const std::string& reason) noexcept {
  const std::shared_ptr<Fate> fate = fate_of(id);
  std::lock_guard lock(fate->mutex);
  fate->end(reason);
}

}  // namespace glimt
