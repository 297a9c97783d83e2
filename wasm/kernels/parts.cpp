// Who runs which parts, in which order: this thread in theirs, or all threads of the module as they come.
#include "crew.h"
#include "executable.h"

namespace glimt {
namespace {

// Operations that are not worth telling others of: some microseconds, of which two threads would spare one.
constexpr double kLittle = 1e5;

bool isShared(const Executable& executable, uint32_t parts) {
  return executable.together && executable.workers > 1 && parts > 1 && parts * executable.work.cost > kLittle;
}

}  // namespace

uint32_t runParts(const Executable& executable, uint32_t first, uint32_t last) {
  const Instruction& instruction = executable.instructions[executable.position];
  const Phase& phase = instruction.kernel->phases[executable.phase];
  if (isShared(executable, last - first)) {
    return runTogether(phase, instruction.call, executable.work, first, last, executable.own,
                       aligned(executable.workspace.own));
  }
  phase.run(instruction.call, first, last, executable.own);
  return last;
}

}  // namespace glimt
