// In place of parts.cpp in the module of tests: what a kernel may not rely on is otherwise. Parts run one by one, from
// the last to the first or shuffled, by turns on the workers; a worker's own memory holds NaN before each, and so does
// the shared memory before a kernel's first phase.
#include <emscripten.h>
#include <string.h>

#include "executable.h"

namespace glimt {
namespace {

bool shuffled = false;

uint32_t greatestDivisor(uint32_t a, uint32_t b) { return b ? greatestDivisor(b, a % b) : a; }

// The part that comes at place `index` of `parts`.
uint32_t partAt(uint32_t index, uint32_t parts) {
  if (!shuffled) return parts - 1 - index;
  uint32_t stride = parts / 3 + 1;
  while (greatestDivisor(stride, parts) != 1) stride++;
  return (uint32_t)(((uint64_t)index * stride + parts / 2) % parts);
}

}  // namespace

uint32_t runParts(const Executable& executable, uint32_t first, uint32_t last) {
  const Instruction& instruction = executable.instructions[executable.position];
  if (executable.phase == 0 && first == 0) memset(instruction.call.shared, 0xff, (size_t)executable.workspace.shared);
  for (uint32_t i = first; i < last; i++) {
    uint32_t part = partAt(i, executable.work.parts);
    uint8_t* own = executable.own + (size_t)(i % executable.workers * aligned(executable.workspace.own));
    memset(own, 0xff, (size_t)executable.workspace.own);
    instruction.kernel->phases[executable.phase].run(instruction.call, part, part + 1, own);
  }
  return last;
}

}  // namespace glimt

extern "C" EMSCRIPTEN_KEEPALIVE void glimt_shuffle_parts(uint32_t yes) { glimt::shuffled = yes; }
