// Indices in host memory that would lead a kernel outside its operands. Those in device memory are the kernels' own care.
#pragma once
#include <string>

#include "../runtime/error.h"
#include "op_entry.h"

namespace glimt {

inline void check_index(const Call& call, const char* what, int64_t index, int64_t count) {
  if (index >= 0 && index < count) return;
  throw Error("INPUT_INVALID", std::string(call.name()) + ": " + what + " " + std::to_string(index) +
                                   " is outside 0.." + std::to_string(count - 1) + ".");
}

// All elements of an input; -1 passes where it is `skipped`.
inline void check_all(const Call& call, uint32_t input, const char* what, int64_t count, bool skipped = false) {
  const int32_t* values = call.host[input];
  const int64_t size = values ? call.in[input].rows * call.in[input].cols : 0;
  for (int64_t i = 0; i < size; i++)
    if (!skipped || values[i] != -1) check_index(call, what, values[i], count);
}

// Row offsets that never fall and stay inside 0 .. rows.
inline void check_bounds(const Call& call, uint32_t input, int64_t rows, const char* what = "cuSeqlens") {
  const int32_t* bounds = call.host[input];
  if (!bounds) return;
  check_index(call, what, bounds[0], rows + 1);
  for (int64_t i = 1; i < call.in[input].rows; i++) {
    check_index(call, what, bounds[i], rows + 1);
    if (bounds[i] < bounds[i - 1])
      throw Error("INPUT_INVALID", std::string(call.name()) + ": " + what + " fall from " +
                                       std::to_string(bounds[i - 1]) + " to " + std::to_string(bounds[i]) + ".");
  }
}

// Places in the pages of a cache, as kv_write takes them; -1 is skipped.
inline void check_slots(const Call& call, uint32_t input, int64_t pages, uint32_t page_size) {
  const int32_t* slots = call.host[input];
  for (int64_t i = 0; slots && i < call.in[input].rows; i++)
    if (slots[i] != -1)
      check_index(call, "page", slots[i] < 0 ? -1 : slots[i] / static_cast<int64_t>(page_size), pages);
}

}  // namespace glimt
