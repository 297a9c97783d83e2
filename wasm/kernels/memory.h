// The module's memory. Only the thread that runs programs asks for some.
#pragma once
#include <cstddef>
#include <cstdint>

namespace glimt {

// At a multiple of 64; null when there is none. Its content is whatever was there.
void* allocate(uint64_t bytes);
void* allocateZeros(uint64_t bytes);
// Null is allowed.
void giveBack(void* memory);
// No block ends behind this address from now on, whatever the engine would still give.
void limitMemory(uint64_t bytes);
// That blocks could still take, with what lies between those that are taken.
uint64_t availableBytes();

}  // namespace glimt
