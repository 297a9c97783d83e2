// A decoded program with the memory it runs on.
#pragma once
#include "kernel.h"

namespace glimt {

enum class FaultCode : int32_t {
  none = 0,
  // The bytes are of another version, truncated or inconsistent.
  malformed = 1,
  // details: the buffer (or -1), the tensor (or -1) with a dimension that is negative, fractional or too large.
  dimension = 2,
  // details: the buffer with less memory than its tensors reach.
  tooSmall = 3,
  // details: instruction, input, value, lowest and highest allowed.
  index = 4,
  memory = 5,
};

struct Fault {
  FaultCode code;
  int32_t details[5];
};

// Every block of the arena starts at a multiple of this.
constexpr uint64_t kAlignment = 64;

inline uint64_t aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Memory bound to a buffer.
struct Binding {
  uint8_t* data;
  uint64_t bytes;
};

struct Instruction {
  const program::Instruction* encoded;
  // Null of a collective, which the caller does.
  const Kernel* kernel;
  Call call;
};

struct Executable {
  uint8_t* bytes;
  const program::Header* header;
  const program::Buffer* buffers;
  const program::Tensor* tensors;
  uint32_t* symbols;
  Binding* bindings;
  Operand* operands;
  Operand* instructionOperands;
  Instruction* instructions;

  // Of temporaries, by slot, in the arena; then the workspace that all instructions use in turn, and one for each
  // worker.
  uint64_t* slotBytes;
  Workspace workspace;
  uint32_t workers;
  uint8_t* own;

  // Where a run stands: the next part of a phase of an instruction, and the work of that phase once it has begun.
  uint32_t position, phase, part;
  Work work;
  // Whether the threads that serve take part (glimt_run_together).
  bool together;

  // Why `plan`, `start` or `run` failed.
  Fault fault;
};

// Takes a copy of the bytes. Null with `fault` when they can not be run, or memory is short.
Executable* decode(const uint8_t* bytes, uint32_t length, Fault& fault);
void release(Executable* executable);

// From the symbols' values: shapes of all operands, and the bytes of arena a run needs whose parts `workers` share, which
// may be more than 64 bits hold. False with a fault.
bool plan(Executable& executable, uint32_t workers, double& arenaBytes);
// Gives temporaries their place, resolves every operand and checks it against the memory bound. False with a fault.
bool start(Executable& executable, uint8_t* arena);

enum class Progress : int32_t { done = 0, more = 1, failed = 2 };
// Runs parts of instructions until they have cost about `budget` operations, those before `end` are done, or it is asked
// to stop; and not past a collective.
Progress run(Executable& executable, double budget, uint32_t end);
// The share of the program that is done, by instructions; another thread may be running it.
double share(const Executable& executable);

// Runs parts first .. last - 1 of the phase that the executable stands at (parts.cpp), or of these the first ones when it
// was asked to stop. Returns the part behind the last one that ran.
uint32_t runParts(const Executable& executable, uint32_t first, uint32_t last);

}  // namespace glimt
