#include "convert.h"

#include <cstring>

#include "glimt_float.h"
#include "runtime/error.h"

namespace glimt {

using program::DType;

void convert_elements(DType from, const void* source, DType to, void* target, size_t count) {
  if (from == to) {
    std::memcpy(target, source, count * element_bytes(to));
    return;
  }
  if (from == DType::i32 || to == DType::i32 || isGrouped(from))
    throw Error("INPUT_INVALID", std::string("write: ") + dtype_name(from) + " values do not fit a tensor of " +
                                     dtype_name(to) + ".");
  auto* words = static_cast<uint16_t*>(target);
  switch (to) {
    case DType::f32:
      for (size_t i = 0; i < count; i++) static_cast<float*>(target)[i] = loadFloat(from, source, i);
      break;
    case DType::bf16:
      for (size_t i = 0; i < count; i++) words[i] = narrowBf16(loadFloat(from, source, i));
      break;
    default:
      for (size_t i = 0; i < count; i++) words[i] = narrowF16(loadFloat(from, source, i));
  }
}

}  // namespace glimt
