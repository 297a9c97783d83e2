// What the entries of the op table check: shapes that must fit each other, and indices in host memory.
#pragma once
#include <string>

#include "instructions.h"
#include "runtime/error.h"

namespace glimt {

inline const char* name_of(const Operands& operands) { return find_op(operands.instruction.op)->name; }

[[noreturn]] inline void shapes_differ(const Operands& operands, const char* what) {
  throw Error("PROGRAM_INVALID",
              operands.instruction.scope + "." + name_of(operands) + ": " + what + " do not fit each other.");
}

inline void require(bool fits, const Operands& operands, const char* what) {
  if (!fits) shapes_differ(operands, what);
}

inline bool same_shape(const View& a, const View& b) {
  return a.rows == b.rows && a.cols == b.cols && a.dtype == b.dtype;
}

// Vectors are one column; their elements must be adjacent.
inline const float* f32_vector(const Operands& operands, const View& view, int64_t size) {
  require(view.dtype == DType::f32 && view.rows == size && view.cols == 1 && view.stride == 1, operands,
          "a vector and its matrix");
  return view.as<const float>();
}

inline const int32_t* i32_vector(const Operands& operands, const View& view, int64_t size) {
  require(view.dtype == DType::i32 && view.rows == size && view.cols == 1 && view.stride == 1, operands,
          "an index and its rows");
  return view.as<const int32_t>();
}

inline void check_index(const char* op, const char* what, int64_t index, int64_t count) {
  if (index >= 0 && index < count) return;
  throw Error("INPUT_INVALID", std::string(op) + ": " + what + " " + std::to_string(index) + " is outside 0.." +
                                   std::to_string(count - 1) + ".");
}

inline void check_all(const Operands& operands, uint32_t input, const char* what, int64_t count) {
  const int32_t* values = operands.host[input];
  if (!values) return;
  for (int64_t i = 0; i < operands.inputs[input].rows; i++)
    check_index(name_of(operands), what, values[i], count);
}

inline void check_bounds(const Operands& operands, uint32_t input, int64_t rows, const char* what = "cuSeqlens") {
  const int32_t* bounds = operands.host[input];
  if (!bounds) return;
  const char* name = name_of(operands);
  check_index(name, what, bounds[0], rows + 1);
  for (int64_t i = 1; i < operands.inputs[input].rows; i++) {
    check_index(name, what, bounds[i], rows + 1);
    if (bounds[i] < bounds[i - 1])
      throw Error("INPUT_INVALID", std::string(name) + ": " + what + " fall from " + std::to_string(bounds[i - 1]) +
                                       " to " + std::to_string(bounds[i]) + ".");
  }
}

inline int64_t page_elements(uint32_t kv_heads, uint32_t page_size, uint32_t head_dim) {
  return int64_t{2} * kv_heads * page_size * head_dim;
}

}  // namespace glimt
