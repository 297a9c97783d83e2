// What the devices of a group say to one another, in the order of their streams: NCCL (communicator_nccl.cu, loaded when
// it is first needed) or, on the emulator, the threads of one process (communicator_emulator.cpp).
#pragma once
#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "glimt_program.gen.h"
#include "runtime.h"

namespace glimt::rt {

// By which the ranks of a group find one another, wherever they are.
using GroupId = std::array<char, 128>;
// Throws BACKEND_UNAVAILABLE with the reason and the remedy.
GroupId make_group_id();

// A rank's place in a group. Stages have `tensor` ranks each: rank = stage * tensor + the rank in its stage.
struct Seat {
  GroupId id{};
  int rank = 0, ranks = 1, tensor = 1;

  // The first rank of its stage.
  int first() const { return rank / tensor * tensor; }
};

// One rank's end. Collectives act among the ranks of its stage, all of which must call the same ones in the same order;
// peers of `send` and `receive` are ranks of the whole group. Counts are elements. Throws GROUP_FAILED.
class Communicator {
 public:
  // For `device`. Waits for the other ranks; `keep_waiting` is called now and then meanwhile, and throws when it is enough.
  Communicator(const Seat& seat, int device, const std::function<void()>& keep_waiting);
  // Like `abort`.
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  // y = the sum over the ranks; y may be x.
  void all_reduce(Stream stream, const void* x, void* y, size_t count, program::DType dtype);
  // y = `count` of each rank, in their order.
  void all_gather(Stream stream, const void* x, void* y, size_t count, program::DType dtype);
  // x has `count` for each rank; y = the sum of those for this one.
  void reduce_scatter(Stream stream, const void* x, void* y, size_t count, program::DType dtype);
  void send(Stream stream, const void* x, size_t count, program::DType dtype, int peer);
  void receive(Stream stream, void* y, size_t count, program::DType dtype, int peer);

  // What went wrong since, without a call that says so; empty while all is well. Not during or after `abort`.
  std::string failure();
  // Ends whatever waits here, and what comes later; the other ranks wait on. While another thread calls or waits.
  void abort() noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace glimt::rt
