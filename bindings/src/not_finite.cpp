#include "not_finite.h"

#include "glimt_blocks.h"

namespace glimt::addon {

namespace {

using program::DType;

template <class T>
uint64_t count_from(const void* data, uint64_t count, T sign_free, T limit) {
  const auto* patterns = static_cast<const T*>(data);
  uint64_t found = 0;
  for (uint64_t i = 0; i < count; i++) found += (patterns[i] & sign_free) >= limit;
  return found;
}

}  // namespace

uint64_t count_not_finite(uint32_t source, uint32_t stored, const void* data, uint64_t count) {
  const auto format = static_cast<DType>(stored);
  if (isGrouped(format))
    // What does not become such blocks is refused where it is written.
    return becomesBlocks(static_cast<DType>(source), format)
               ? countNotFiniteBlocks(static_cast<DType>(source), data, format, count / blockCols(format))
               : 0;
  const uint32_t limit = overflowBits(static_cast<DType>(stored));
  switch (static_cast<DType>(source)) {
    case DType::f32:
      return count_from<uint32_t>(data, count, kMagnitudeBits, limit);
    case DType::bf16: {
      // The upper half of a float32; the limit of f16 is exact there, that of bf16 is its own infinity.
      const uint16_t upper = static_cast<uint16_t>((limit + 0xffff) >> 16);
      return count_from<uint16_t>(data, count, 0x7fff, upper);
    }
    case DType::f16:
      return count_from<uint16_t>(data, count, 0x7fff, 0x7c00);
    default:
      break;
  }
  return 0;
}

}  // namespace glimt::addon
