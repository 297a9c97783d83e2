// What a kernel sees (operands resolved to memory) and what it offers the executor: how its work divides into
// parts, and a function that does some of them. Parts are how a long instruction is cut into slices.
#pragma once
#include <cstddef>
#include <cstdint>

#include "glimt_program.gen.h"

namespace glimt {

using program::DType;
using program::Op;

// A rectangle in memory; element (r, c) is element c + r * stride. A packed weight (weights.h) is always whole.
struct Operand {
  uint8_t* data;
  uint32_t rows, cols, stride;
  DType dtype;
  bool packed;

  float* row(uint32_t r) const { return (float*)data + (size_t)r * stride; }
  // For operands that are vectors, whichever way they lie.
  uint32_t length() const { return rows * cols; }
  const float* floats() const { return (const float*)data; }
  const int32_t* ints() const { return (const int32_t*)data; }
};

struct Call {
  const Operand* in;
  const Operand* out;
  const uint32_t* attributes;
  // At least what the kernel's `scratch` asked for; kept from part to part of one instruction.
  uint8_t* scratch;

  template <class Attrs>
  const Attrs& attrs() const {
    return *(const Attrs*)attributes;
  }
};

// `parts` pieces of about `cost` arithmetic operations each, done in order.
struct Work {
  uint32_t parts;
  double cost;
};

// The value of an index operand that would lead outside its memory.
struct BadIndex {
  uint32_t input;
  int32_t value, low, high;
};

struct Kernel {
  Work (*work)(const Call&);
  void (*run)(const Call&, uint32_t firstPart, uint32_t lastPart);
  // In 64 bits: a program may ask for more than there is.
  uint64_t (*scratch)(const Call&) = nullptr;
  // Looks through index operands before part 0; false with `bad` filled in refuses the run.
  bool (*check)(const Call&, BadIndex& bad) = nullptr;
};

// Each file of kernels defines the ones it holds.
extern const Kernel kLinear, kLinearBias, kAddBias, kAdd, kRmsNorm, kAddRmsNorm, kLayerNorm, kRope, kKvWrite,
    kAttentionPaged, kAttentionVarlen, kSwiglu, kGelu, kEmbed, kGatherRows, kScatterRows, kPositionEmbedBicubic,
    kRouteExperts, kExperts, kSample;

// True when low <= value <= high for all of `values`.
inline bool indicesInside(uint32_t input, const int32_t* values, uint32_t count, int32_t low, int32_t high,
                          BadIndex& bad) {
  for (uint32_t i = 0; i < count; i++) {
    if (values[i] < low || values[i] > high) {
      bad = {input, values[i], low, high};
      return false;
    }
  }
  return true;
}

// Row offsets that never fall and stay inside 0 .. total.
inline bool offsetsRise(uint32_t input, const int32_t* offsets, uint32_t count, uint32_t total, BadIndex& bad) {
  int32_t low = 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!indicesInside(input, offsets + i, 1, low, (int32_t)total, bad)) return false;
    low = offsets[i];
  }
  return true;
}

}  // namespace glimt
