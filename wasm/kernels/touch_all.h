// Asks for memory that is read next, all lines of it at once, in four places side by side. Products of some rows are too long for a
// core to look ahead far enough, and WebAssembly has no prefetch: it would wait for one line after the other.
#pragma once
#include "simd.h"

namespace glimt {

constexpr size_t kCacheLine = 64;

inline void touchAll(const uint8_t* from, size_t bytes) {
  constexpr size_t kPlaces = 4;
  size_t lines = (bytes + kCacheLine - 1) / kCacheLine, each = lines / kPlaces * kCacheLine;
  for (size_t at = 0; at < each; at += kCacheLine) {
    for (size_t place = 0; place < kPlaces; place++) touch(from + place * each + at);
  }
  for (size_t at = kPlaces * each; at < bytes; at += kCacheLine) touch(from + at);
}

}  // namespace glimt
