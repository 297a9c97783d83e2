// The threads that share the module's memory, and with it the parts of phases. Modules without shared memory have none.
#pragma once
#include "kernel.h"

namespace glimt {

// Runs parts first .. last - 1 of a phase, here and on the threads that serve (glimt_serve). `own` is this thread's
// memory; that of worker i lies i times `ownBytes` behind it. False when a thread took parts and did not come back.
bool runTogether(const Phase& phase, const Call& call, uint32_t first, uint32_t last, uint8_t* own, uint64_t ownBytes);

}  // namespace glimt
