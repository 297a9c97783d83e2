// Cooperative threads on stacks of their own: the emulator runs each CUDA thread of a block on one.
#pragma once
#include <cstddef>

namespace glimt::emu {

// A suspended thread of control. The entry function never returns; it hands control on for the last time.
class Fiber {
 public:
  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // (Re)starts at `entry`; whatever ran on the stack before is forgotten.
  void reset(void (*entry)());
  // Leaves the caller (its state is kept in `from`) and continues here.
  void resume(Fiber& from);

 private:
  void* stack_ = nullptr;
  void* context_ = nullptr;
};

}  // namespace glimt::emu
