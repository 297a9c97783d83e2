#pragma once
#include "kernel.h"

namespace glimt {

// Null for views and for numbers that are no op.
const Kernel* kernelOf(Op op);

}  // namespace glimt
