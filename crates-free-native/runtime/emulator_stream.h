// What is put into an emulated stream beside kernels and copies.
#pragma once
#include <functional>

#include "runtime.h"

namespace glimt::rt {

// Runs when the stream comes to it, or is recorded while the stream is captured. What it throws ends the stream's work.
void push_work(Stream stream, std::function<void()> work);

}  // namespace glimt::rt
