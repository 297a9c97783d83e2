// Values of a weight that are NaN or infinite as stored.
#pragma once
#include <cstdint>

namespace glimt::addon {

// Of `count` elements of `source` type, how many are not finite once rounded to `stored`; whole blocks of a format that
// has them. dtypes as in the C interface.
uint64_t count_not_finite(uint32_t source, uint32_t stored, const void* data, uint64_t count);

}  // namespace glimt::addon
