// Faults on demand and pretended limits of the emulated device; for tests.
#pragma once
#include <cstddef>
#include <cstdint>

namespace glimt::rt {

// hang: a rank comes to an operation of its group, and waits there until its end of the group is aborted.
enum class Fault { allocation, pinned, launch, device_lost, hang, count };

// Call number `countdown` from now of that kind fails once; 0 disarms.
void arm_fault(Fault fault, uint64_t countdown);
// Whether this call is the one that fails.
bool strike(Fault fault);
// Of each device.
void set_memory_limit(uint64_t bytes);
void set_multiprocessors(int count);
// The device allocation that holds `address`, if any.
bool find_allocation(const void* address, const unsigned char** begin, const unsigned char** end);

}  // namespace glimt::rt
