// The threads that share the module's memory, and with it the parts of phases; where it is not shared, there is one.
#pragma once
#include "kernel.h"

namespace glimt {

// Between these, threads that serve stay: they sleep at most until there is a phase to share.
void beginRun();
void endRun();
// Runs parts first .. last - 1 of a phase, here and on the threads that serve (glimt_serve), and returns `last`, or the
// first part that nobody ran since the run was asked to stop. Parts are `work`'s; `own` is this thread's memory; that of worker
// i lies i times `ownBytes` behind it.
uint32_t runTogether(const Phase& phase, const Call& call, const Work& work, uint32_t first, uint32_t last, uint8_t* own,
                     uint64_t ownBytes);
// Whether the run on this memory was asked to stop.
bool stopAsked();

}  // namespace glimt
