// Addresses and sizes of memory as JavaScript hands them over: numbers, whether a pointer has 32 bits here or 64.
#pragma once
#include <cstdint>

namespace glimt {

template <class T>
struct Address {
  double value;

  operator T*() const { return (T*)(uintptr_t)value; }
  T* operator->() const { return *this; }
};
// In C's calling convention it is its number.
static_assert(sizeof(Address<uint8_t>) == sizeof(double));

inline double addressOf(const void* memory) { return (double)(uintptr_t)memory; }

}  // namespace glimt
