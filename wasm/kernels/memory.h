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

}  // namespace glimt
