// Host conversion between the float storage types: through f32, nearest, ties to even.
#pragma once
#include "program.h"

namespace glimt {

void convert_elements(program::DType from, const void* source, program::DType to, void* target, size_t count);

}  // namespace glimt
