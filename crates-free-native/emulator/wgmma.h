// wgmma on the CPU, from the PTX ISA's description (asynchronous warpgroup level matrix instructions), not from what the
// kernels take it for. A wgmma reads shared memory when all 128 threads have issued it; its sums are NaN until the wait
// that covers it, where what it read must still be there and its registers untouched. A fragment of a can not be read by
// two at once.
//
// Found are: threads that do not take part, or not alike; descriptors that describe something else than K-major rows
// with the 128-byte swizzle in atoms aligned to 1024 bytes; missing wgmma.fence, fence.proxy.async, commits and waits;
// writes to what a wgmma reads; with the access checker also a missing barrier before or behind it.
#pragma once
#include <cstdint>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

namespace glimt::emu {

class Block;

struct WgmmaOperands {
  float* sums;  // n / 2 of this thread
  int n;
  // The sums begin at zero, whatever they held; b is N-major (imm-trans-b).
  bool fresh, transposed_b;
  // Descriptors of 64 and of n rows; of a, when `fragment` is null.
  uint64_t a, b;
  unsigned* fragment;  // four registers of a
  float (*widen)(uint16_t);
};

void wgmma_fence(std::source_location site);
void wgmma(const WgmmaOperands& operands, std::source_location site);
void wgmma_commit(std::source_location site);
void wgmma_wait(unsigned pending, std::source_location site);
void fence_async_proxy();

// Of dynamic shared memory, whose first byte lies at an odd multiple of 256.
unsigned shared_address(const void* pointer);

// Four warps and the wgmmas they have issued.
class Warpgroup {
 public:
  static constexpr unsigned kThreads = 128;

  explicit Warpgroup(unsigned number) : number_(number) {}
  unsigned number() const { return number_; }
  void fence() { fenced_ = true; }
  void issue(Block& block);
  void commit();
  void wait(Block& block, unsigned pending);
  bool idle() const { return open_.empty() && committed_.empty(); }
  // Whether `address` is a register of thread `rank` that a wgmma under way uses.
  bool uses(unsigned rank, const void* address) const;

  // Of the instruction that waits for all threads; Block's.
  const char* instruction = nullptr;
  std::source_location site;
  unsigned arrived = 0;

 private:
  // The registers of one accumulator in all threads, from its first wgmma to the wait for its last.
  struct Sums {
    float* registers[kThreads];
    int count;                  // in a thread
    std::vector<float> values;  // [kThreads][count], what they really hold
    int users = 0;
  };
  struct Operation {
    std::shared_ptr<Sums> sums;
    // What was read, 16 elements a row; of a, the fragments of all threads.
    struct Operand {
      uint64_t descriptor;
      bool transposed;
      std::vector<uint16_t> rows;
      std::vector<unsigned*> registers;
    } a, b;
  };

  static void read_fragments(const WgmmaOperands (&of)[kThreads], Operation::Operand& a);
  static void restore_fragments(Block& block, const Operation::Operand& a);
  void retire(Block& block, const Operation& operation);

  const unsigned number_;
  bool fenced_ = false;
  std::vector<std::shared_ptr<Sums>> busy_;
  std::vector<Operation> open_;
  std::vector<std::vector<Operation>> committed_;
};

}  // namespace glimt::emu
