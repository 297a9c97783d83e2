// Who runs which parts, in which order: one worker, in theirs.
#include "executable.h"

namespace glimt {

void runParts(const Executable& executable, uint32_t first, uint32_t last) {
  const Instruction& instruction = executable.instructions[executable.position];
  instruction.kernel->phases[executable.phase].run(instruction.call, first, last, executable.own);
}

}  // namespace glimt
