// Bytes of matrices, from the generated table of formats; src/tensor/storage.ts says what its rows mean.
#pragma once
#include "glimt_program.gen.h"

namespace glimt {

// Formats whose rows are blocks of integers, with scales for groups of them.
constexpr bool isBlockFormat(program::DType format) {
  switch (format) {
    case program::DType::q8:
    case program::DType::q4:
    case program::DType::q4_1:
    case program::DType::q5_0:
    case program::DType::q5_1:
    case program::DType::q4_k:
    case program::DType::q5_k:
    case program::DType::q6_k:
      return true;
    default:
      return false;
  }
}

// Columns of a block of q8 and q4, and of activations.
constexpr uint32_t kBlockCols = 32;

// Formats whose rows are blocks of columns with a scale each, of integers or not.
constexpr bool isGrouped(program::DType format) {
  return program::kFormats[static_cast<uint32_t>(format)].groupBytes != 0;
}

// Columns of such a block, and bytes of its elements and of its scale.
constexpr uint32_t blockCols(program::DType format) {
  return program::kFormats[static_cast<uint32_t>(format)].groupCols;
}
constexpr uint64_t blockElementBytes(program::DType format) {
  return uint64_t{blockCols(format)} * program::kFormats[static_cast<uint32_t>(format)].bits / 8;
}
constexpr uint64_t blockScaleBytes(program::DType format) {
  return program::kFormats[static_cast<uint32_t>(format)].groupBytes;
}

constexpr uint32_t tileRows(program::Layout layout) { return program::kLayoutTileRows[static_cast<uint32_t>(layout)]; }

constexpr uint64_t storageBytes(const program::Format& format, uint64_t rows, uint64_t cols,
                                program::Layout layout = program::Layout::plain) {
  const uint64_t tile = tileRows(layout), stored = (rows + tile - 1) / tile * tile;
  const uint64_t elements = stored * ((cols * format.bits + 7) / 8);
  if (format.groupBytes == 0) return elements;
  const uint64_t across =
      format.groupCols ? (cols + format.groupCols - 1) / format.groupCols : static_cast<uint64_t>(cols > 0);
  return elements + (stored + format.groupRows - 1) / format.groupRows * across * format.groupBytes;
}

constexpr uint64_t storageBytes(program::DType format, uint64_t rows, uint64_t cols,
                                program::Layout layout = program::Layout::plain) {
  return storageBytes(program::kFormats[static_cast<uint32_t>(format)], rows, cols, layout);
}

}  // namespace glimt
