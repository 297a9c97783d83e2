// From a dtype known when the program runs to a type known when the kernel is compiled.
#pragma once
#include <string>

#include "../runtime/error.h"
#include "device.h"
#include "kernels.h"

namespace glimt {

template <class T>
struct Type {
  using type = T;
};

template <class F>
void with_float_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return f(Type<float>{});
    case DType::bf16:
      return f(Type<bf16>{});
    case DType::f16:
      return f(Type<f16>{});
    default:
      break;
  }
  throw Error("PROGRAM_INVALID", "An operand of integers was given where floats belong.");
}

// True when rows of this view can be moved in packs of 16 bytes.
template <class T>
bool packable(const Operand& view) {
  return reinterpret_cast<uintptr_t>(view.data) % 16 == 0 && view.stride % kPackSize<T> == 0 &&
         view.cols % kPackSize<T> == 0;
}

}  // namespace glimt
