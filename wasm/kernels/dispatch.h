#pragma once
#include "kernel.h"

namespace glimt {

// Null for views, for compositions that the compiler expands, and for numbers that are no op.
const Kernel* kernelOf(Op op);

}  // namespace glimt
