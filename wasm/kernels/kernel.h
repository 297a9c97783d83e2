// What a kernel sees (operands resolved to memory) and what it offers the executor: phases of independent parts.
// Phases run in turn; the parts of one may run in any order and on any worker, so that a run can be sliced between
// parts and parts can be shared out, and the result has the same bits however that is done.
#pragma once
#include <cstddef>
#include <cstdint>

#include "glimt_program.gen.h"
#include "glimt_storage.h"

namespace glimt {

using program::DType;
using program::Layout;
using program::Op;

// A rectangle in memory; element (r, c) is element c + r * stride. A weight in tiles (weights.h) is always whole.
struct Operand {
  uint8_t* data;
  uint32_t rows, cols, stride;
  DType dtype;
  Layout layout;

  float* row(uint32_t r) const { return (float*)data + (size_t)r * stride; }
  // For operands that are vectors, whichever way they lie.
  uint32_t length() const { return rows * cols; }
  const float* floats() const { return (const float*)data; }
  const int32_t* ints() const { return (const int32_t*)data; }
};

struct Call {
  const Operand* in;
  const Operand* out;
  const uint32_t* attributes;
  // What `workspace` asked for; all workers see it, and it keeps its content from phase to phase. At first it holds
  // whatever an earlier call left there.
  uint8_t* shared;
  // That share the parts of a phase. Work that can be cut has parts for all of them, and for one no more than slices
  // of a run need.
  uint32_t workers;

  template <class Attrs>
  const Attrs& attrs() const {
    return *(const Attrs*)attributes;
  }
};

inline uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

// Parts for workers that may be slower or start later than others: those that are done early find more.
inline uint32_t sharedParts(const Call& call) { return call.workers == 1 ? 1 : call.workers * 16; }

// `parts` pieces of about `cost` arithmetic operations each. Those that are alike, and quicker when many that follow each other are
// done at once, are `inRuns`.
struct Work {
  uint32_t parts;
  double cost;
  bool inRuns = false;
};

// Largest part, where the work can be cut: a slice of a run is never shorter than one part.
constexpr double kLargestPart = 2e8;

struct Phase {
  // Asked when the phases before are done; a phase without parts is passed over.
  Work (*work)(const Call&);
  // Does parts first .. last - 1, which read nothing that another part of the phase writes. `own` is the running
  // worker's part of the workspace; its content is lost between calls.
  void (*run)(const Call&, uint32_t first, uint32_t last, uint8_t* own);
};

// Bytes of memory a kernel asks for. In 64 bits: a program may ask for more than there is.
struct Workspace {
  // Of the call.
  uint64_t shared;
  // Of each worker.
  uint64_t own;
};

// The value of an index operand that would lead outside its memory.
struct BadIndex {
  uint32_t input;
  int32_t value, low, high;
};

constexpr uint32_t kMostPhases = 3;

struct Kernel {
  // Those past the last one are empty.
  Phase phases[kMostPhases];
  Workspace (*workspace)(const Call&) = nullptr;
  // Looks through index operands before the first phase; false with `bad` filled in refuses the run.
  bool (*check)(const Call&, BadIndex& bad) = nullptr;

  uint32_t phaseCount() const {
    uint32_t count = 0;
    while (count < kMostPhases && phases[count].run) count++;
    return count;
  }
};

// True when low <= value <= high for all of `values`.
inline bool indicesInside(uint32_t input, const int32_t* values, uint32_t count, int32_t low, int32_t high,
                          BadIndex& bad) {
  for (uint32_t i = 0; i < count; i++) {
    if (values[i] < low || values[i] > high) {
      bad = {input, values[i], low, high};
      return false;
    }
  }
  return true;
}

// Row offsets that never fall and stay inside 0 .. total.
inline bool offsetsRise(uint32_t input, const int32_t* offsets, uint32_t count, uint32_t total, BadIndex& bad) {
  int32_t low = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!indicesInside(input, offsets + i, 1, low, (int32_t)total, bad)) return false;
    low = offsets[i];
  }
  return true;
}

}  // namespace glimt

// Each file of kernels defines the ones it holds, by the names in here.
#include "dispatch.gen.h"
