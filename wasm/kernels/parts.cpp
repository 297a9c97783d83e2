// Who runs which parts, in which order: this thread in theirs, or all threads of the module as they come.
#include "crew.h"
#include "executable.h"

namespace glimt {

bool runParts(const Executable& executable, uint32_t first, uint32_t last) {
  const Instruction& instruction = executable.instructions[executable.position];
  const Phase& phase = instruction.kernel->phases[executable.phase];
#ifdef __wasm_atomics__
  if (executable.workers > 1 && last - first > 1) {
    return runTogether(phase, instruction.call, first, last, executable.own, aligned(executable.workspace.own));
  }
#endif
  phase.run(instruction.call, first, last, executable.own);
  return true;
}

}  // namespace glimt
