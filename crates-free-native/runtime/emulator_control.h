// Faults on demand and pretended limits of the emulated device; for tests.
#pragma once
#include <cstddef>
#include <cstdint>

namespace glimt::rt {

enum class Fault { allocation, pinned, launch, device_lost, count };

// Call number `countdown` from now of that kind fails once; 0 disarms.
void arm_fault(Fault fault, uint64_t countdown);
void set_memory_limit(uint64_t bytes);
void set_multiprocessors(int count);
// The device allocation that holds `address`, if any.
bool find_allocation(const void* address, const unsigned char** begin, const unsigned char** end);

}  // namespace glimt::rt
