// An engine's place in a group of devices: how its kernels reach the others, and what ends a run that waits for them.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "runtime/communicator.h"

namespace glimt {

// A group fails as a whole and once: with whatever went wrong first on any of its ranks in this process. Ranks in other
// processes hear of it by their deadline.
class Group {
 public:
  // Waits until all ranks are there. Throws GROUP_FAILED, BACKEND_UNAVAILABLE.
  Group(const rt::Seat& seat, int device, std::chrono::milliseconds deadline);
  // The group has failed then: its ranks can do nothing without this one.
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  const rt::Seat& seat() const { return seat_; }
  rt::Communicator& communicator() { return *communicator_; }

  // While it lives, a run is under way that may wait for other ranks.
  class Run {
   public:
    // `abort` not 0 fails the group, and so does the deadline. Throws GROUP_FAILED when the group has failed.
    Run(Group& group, const volatile int32_t* abort);
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    Group& group_;
  };

  // What went wrong on this rank, and that it is closed; only the first counts. From any thread.
  void fail(const std::string& reason) noexcept;
  void leave() noexcept;
  // Empty while the group works.
  std::string failure() const;
  // For a rank that could not be opened: the others, which wait for it, give up.
  static void fail_all(const rt::GroupId& id, const std::string& reason) noexcept;

 private:
  struct Fate;
  static std::shared_ptr<Fate> fate_of(const rt::GroupId& id);
  std::string name() const;
  void guard();

  const rt::Seat seat_;
  const std::chrono::milliseconds deadline_;
  const std::shared_ptr<Fate> fate_;
  std::optional<rt::Communicator> communicator_;
  // Guarded by the fate's mutex.
  bool running_ = false;
  const volatile int32_t* abort_ = nullptr;
  std::chrono::steady_clock::time_point ends_;
  // Ends what waits on the engine's thread, which can not do so itself.
  std::thread guard_;
};

}  // namespace glimt
