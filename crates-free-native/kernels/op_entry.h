// What the executor knows of each op: how to run an instruction and what it needs. A file of kernels ends with the
// entries of its ops, by the names in op_entries.gen.h: an op that has none does not link.
#pragma once
#include <vector>

#include "kernels.h"

namespace glimt {

// One instruction of one run. Its operands fit the op as the op table says: the executor has checked that.
struct Call {
  program::Op op;
  std::vector<Operand> in, out;
  const uint32_t* attributes;
  // By input: its copy in host memory where the caller bound it so, for indices alone; null otherwise.
  std::vector<const int32_t*> host;

  // The attribute words as the struct that the generated header declares for this op.
  template <class Attrs>
  const Attrs& attrs() const {
    static_assert(alignof(Attrs) <= alignof(uint32_t));
    return *reinterpret_cast<const Attrs*>(attributes);
  }
  const char* name() const { return program::op_info(op)->name; }
};

struct OpEntry {
  // Launches the kernels.
  void (*run)(const KernelContext& context, const Call& call);
  // Bytes of workspace; null for none. Addresses of operands are not known yet.
  size_t (*workspace)(const KernelTerms& terms, const Call& call) = nullptr;
  // Throws INPUT_INVALID when an index in host memory points outside; null where there are none.
  void (*check_indices)(const Call& call) = nullptr;
  // Why inputs of these storage formats, which the op table allows, are not what the kernels read; null when they are.
  const char* (*refuse)(const DType* formats) = nullptr;
  // Of what ranks of a group do together: bytes that this one gives the others. Null for ops of one engine.
  size_t (*gives)(const Call& call) = nullptr;
};

}  // namespace glimt

#include "op_entries.gen.h"
