// A program decoded from its bytes (src/program/encoding.ts writes them).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "glimt_program.gen.h"
#include "glimt_storage.h"

namespace glimt {

// value = symbols[symbol] * num / den + add; a constant has symbol -1 and is `add`.
struct Dim {
  int32_t symbol = -1;
  uint32_t num = 0, den = 1;
  int32_t add = 0;
};

struct BufferInfo {
  program::BufferKind kind;
  program::DType dtype;
  int32_t slot;
  std::string name;
  Dim rows, cols;
};

struct TensorInfo {
  uint32_t buffer, col_offset, row_stride;
  Dim rows, cols;
};

struct InstructionInfo {
  program::Op op;
  std::vector<uint32_t> inputs, outputs, attrs;
  std::string scope;
};

struct ProgramInfo {
  std::string name;
  // Of every activation and state.
  program::DType activation = program::DType::f32;
  std::vector<std::string> symbols;
  std::vector<BufferInfo> buffers;
  std::vector<TensorInfo> tensors;
  std::vector<InstructionInfo> instructions;
  uint32_t slot_count = 0;
};

// Throws PROGRAM_INVALID when the bytes are of another version, truncated or inconsistent.
ProgramInfo decode_program(const void* bytes, size_t size);

// Of formats without blocks.
constexpr size_t element_bytes(program::DType dtype) { return storageBytes(dtype, 1, 1); }
const char* dtype_name(program::DType dtype);

}  // namespace glimt
