// What the executor knows of each op: its operands, how to run it, what it needs.
#pragma once
#include <functional>

#include "kernels/kernels.h"
#include "program.h"

namespace glimt {

// The operands of one instruction of one run.
struct Operands {
  const InstructionInfo& instruction;
  std::vector<View> inputs, outputs;
  // Host copies of inputs that the caller bound as host memory; null otherwise.
  std::vector<const int32_t*> host;
};

struct OpEntry {
  const char* name;
  uint32_t inputs, outputs, attrs;
  // Launches the kernels.
  void (*run)(const KernelContext& context, const Operands& operands);
  // Throws PROGRAM_INVALID when shapes do not fit each other.
  void (*check)(const Operands& operands);
  // Bytes of workspace; null for none. Addresses of operands are not known yet.
  size_t (*workspace)(const Operands& operands, const KernelTerms& terms);
  // Throws INPUT_INVALID when an index in host memory points outside; null where there are none.
  void (*check_indices)(const Operands& operands);
};

// Null for views and unknown codes.
const OpEntry* find_op(program::Op op);

}  // namespace glimt
