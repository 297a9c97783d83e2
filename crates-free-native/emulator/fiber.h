// Cooperative threads on stacks of their own: the emulator runs each CUDA thread of a block on one.
#pragma once
#include <cstddef>

namespace glimt::emu {

// A suspended thread of control. The entry function never returns; it hands control on for the last time.
class Fiber {
 public:
  static constexpr size_t kStackBytes = 128 * 1024;

  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // (Re)starts at `entry`; whatever ran on the stack before is forgotten.
  void reset(void (*entry)());
  // Leaves the caller (its state is kept in `from`) and continues here.
  void resume(Fiber& from);
  // Whether `address` lies in its stack.
  bool holds(const void* address) const {
    return static_cast<size_t>(static_cast<const char*>(address) - static_cast<const char*>(stack_)) < kStackBytes;
  }
  // To be called first by `entry`, which `from` resumed: tells AddressSanitizer, in builds with it.
  static void entered(Fiber& from);

 private:
  void switch_from(Fiber& from);

  void* stack_ = nullptr;
  void* context_ = nullptr;
  // For AddressSanitizer: where the stack lies, also of fibers that did not allocate theirs.
  const void* bottom_ = nullptr;
  size_t size_ = 0;
};

}  // namespace glimt::emu
