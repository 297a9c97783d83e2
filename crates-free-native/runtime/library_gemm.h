// Large matrix products through the vendor's library (cuBLASLt), when it is installed: loaded on first use, never linked.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "glimt_program.gen.h"
#include "runtime.h"

namespace glimt::rt {

struct GemmShape {
  program::DType dtype;
  int64_t m, n, k, x_stride, w_stride, y_stride;
};

class LibraryGemm {
 public:
  LibraryGemm();
  ~LibraryGemm();
  LibraryGemm(const LibraryGemm&) = delete;
  LibraryGemm& operator=(const LibraryGemm&) = delete;

  // Loads the library and allocates its workspace; does nothing the second time. Not while a stream is captured.
  // Never throws: without the library `run` answers false.
  void prepare() noexcept;
  // False when it is known not to be there.
  bool available() const;
  // y = x wᵀ (+ bias, f32). False when the library is not there or has no way for this shape; nothing ran then.
  // `bias_added` says whether the bias is in y already.
  bool run(Stream stream, const GemmShape& shape, const void* x, const void* w, const float* bias, void* y,
           bool* bias_added);
  // What was loaded, or why nothing was.
  const std::string& status() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace glimt::rt
