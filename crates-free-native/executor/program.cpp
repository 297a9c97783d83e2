#include "program.h"

#include <cstring>

#include "glimt_op_rules.gen.h"
#include "kernels/kernels.h"
#include "runtime/error.h"

namespace glimt {

namespace {

[[noreturn]] void invalid(const std::string& reason) { throw Error("PROGRAM_INVALID", "Program: " + reason + "."); }

class Reader {
 public:
  Reader(const void* bytes, size_t size) : bytes_(static_cast<const char*>(bytes)), size_(size), words_(size / 4) {}

  void limit(uint64_t words, uint64_t string_bytes) {
    if (words * 4 + string_bytes != size_) invalid("the length does not match the header");
    words_ = words;
    strings_ = words * 4;
  }

  template <class T>
  T read() {
    static_assert(sizeof(T) % 4 == 0);
    if (position_ + sizeof(T) / 4 > words_) invalid("the bytes end too early");
    T value;
    std::memcpy(&value, bytes_ + position_ * 4, sizeof(T));
    position_ += sizeof(T) / 4;
    return value;
  }

  // A count of things of `words` words each that are still to come.
  void expect(uint64_t count, uint64_t words) const {
    if (count * words > words_ - position_) invalid("the bytes end too early");
  }

  std::string string(uint32_t offset, uint32_t length) const {
    if (strings_ + offset + uint64_t{length} > size_) invalid("a name lies outside the string section");
    return {bytes_ + strings_ + offset, length};
  }

  std::string terminated(uint32_t offset) const {
    const char* start = bytes_ + strings_ + offset;
    if (strings_ + offset >= size_ || !std::memchr(start, 0, size_ - strings_ - offset))
      invalid("a name lies outside the string section");
    return start;
  }

 private:
  const char* bytes_;
  size_t size_, words_, position_ = 0, strings_ = 0;
};

Dim decode_dim(const program::Dim& dim, size_t symbols) {
  if (dim.symbol == program::kNoSymbol) {
    if (dim.add < 0) invalid("a dimension is negative");
    return {-1, 0, 1, dim.add};
  }
  if (dim.symbol >= symbols) invalid("symbol " + std::to_string(dim.symbol) + " does not exist");
  if (dim.den == 0) invalid("a dimension divides by zero");
  return {static_cast<int32_t>(dim.symbol), dim.num, dim.den, dim.add};
}

InstructionInfo decode_instruction(Reader& reader, size_t tensors) {
  const auto head = reader.read<program::Instruction>();
  const program::OpInfo* info = program::op_info(head.op);
  if (!info) invalid("an instruction has an unknown op");
  InstructionInfo instruction{head.op, {}, {}, {}, reader.string(head.scope, head.scopeLength)};
  const auto check = [&](const char* what, uint32_t found, uint32_t expected) {
    if (found != expected)
      invalid(std::string(info->name) + " has " + std::to_string(found) + " " + what + ", expected " +
              std::to_string(expected));
  };
  check("inputs", head.inputCount, info->inputs);
  check("outputs", head.outputCount, info->outputs);
  check("attributes", head.attrCount, info->attrs);
  const auto operands = [&](uint32_t count, std::vector<uint32_t>& into) {
    for (uint32_t i = 0; i < count; i++) {
      into.push_back(reader.read<uint32_t>());
      if (into.back() >= tensors) invalid("tensor " + std::to_string(into.back()) + " does not exist");
    }
  };
  operands(head.inputCount, instruction.inputs);
  operands(head.outputCount, instruction.outputs);
  for (uint32_t i = 0; i < head.attrCount; i++) instruction.attrs.push_back(reader.read<uint32_t>());
  return instruction;
}

}  // namespace

ProgramInfo decode_program(const void* bytes, size_t size) {
  Reader reader(bytes, size);
  const auto magic = reader.read<uint32_t>();
  if (magic != program::kMagic) invalid("these bytes are no program");
  const auto version = reader.read<uint32_t>();
  if (version != program::kVersion)
    invalid("version " + std::to_string(version) + " can not be read, only " + std::to_string(program::kVersion) +
            "; recompile the graph");
  const auto words = reader.read<uint32_t>(), string_bytes = reader.read<uint32_t>();
  reader.limit(words, string_bytes);

  ProgramInfo result;
  result.name = reader.terminated(reader.read<uint32_t>());
  const auto symbols = reader.read<uint32_t>(), buffers = reader.read<uint32_t>(), tensors = reader.read<uint32_t>(),
             instructions = reader.read<uint32_t>();
  result.slot_count = reader.read<uint32_t>();
  result.activation = reader.read<program::DType>();
  if (result.activation >= program::DType::i32) invalid("the activations' dtype does not exist");
  reader.expect(symbols, sizeof(program::Symbol) / 4);
  for (uint32_t i = 0; i < symbols; i++) {
    const auto symbol = reader.read<program::Symbol>();
    result.symbols.push_back(reader.string(symbol.name, symbol.nameLength));
  }
  reader.expect(buffers, sizeof(program::Buffer) / 4);
  for (uint32_t i = 0; i < buffers; i++) {
    const auto buffer = reader.read<program::Buffer>();
    if (buffer.kind > program::BufferKind::temporary) invalid("a buffer kind does not exist");
    if (static_cast<uint32_t>(buffer.dtype) >= program::kFormatCount) invalid("a dtype does not exist");
    if (!kernels_read(buffer.dtype)) invalid(std::string("no kernel reads ") + dtype_name(buffer.dtype));
    const bool blocks = isGrouped(buffer.dtype);
    if (blocks && buffer.kind != program::BufferKind::weight)
      invalid(std::string("no kernel reads or writes ") + dtype_name(buffer.dtype) + " that is no weight");
    if (buffer.layout != (blocks ? program::Layout::split : program::Layout::plain))
      invalid("a weight has the layout of another backend");
    const bool temporary = buffer.kind == program::BufferKind::temporary;
    if (temporary && (buffer.slot < 0 || static_cast<uint32_t>(buffer.slot) >= result.slot_count))
      invalid("slot " + std::to_string(buffer.slot) + " does not exist");
    result.buffers.push_back({buffer.kind, buffer.dtype, buffer.slot,
                              reader.string(buffer.name, buffer.nameLength), decode_dim(buffer.rows, symbols),
                              decode_dim(buffer.cols, symbols)});
  }
  reader.expect(tensors, sizeof(program::Tensor) / 4);
  for (uint32_t i = 0; i < tensors; i++) {
    const auto tensor = reader.read<program::Tensor>();
    if (tensor.buffer >= buffers) invalid("buffer " + std::to_string(tensor.buffer) + " does not exist");
    result.tensors.push_back({tensor.buffer, tensor.colOffset, tensor.rowStride, decode_dim(tensor.rows, symbols),
                              decode_dim(tensor.cols, symbols)});
  }
  for (uint32_t i = 0; i < instructions; i++) result.instructions.push_back(decode_instruction(reader, tensors));
  return result;
}

const char* dtype_name(program::DType dtype) {
  switch (dtype) {
    case program::DType::f32:
      return "f32";
    case program::DType::bf16:
      return "bf16";
    case program::DType::f16:
      return "f16";
    case program::DType::i32:
      return "i32";
    case program::DType::q8:
      return "q8";
    case program::DType::q4:
      return "q4";
    case program::DType::q4_1:
      return "q4_1";
    case program::DType::q5_0:
      return "q5_0";
    case program::DType::q5_1:
      return "q5_1";
    case program::DType::q4_k:
      return "q4_k";
    case program::DType::q5_k:
      return "q5_k";
    case program::DType::q6_k:
      return "q6_k";
    case program::DType::fp8:
      return "fp8";
  }
  return "?";
}

}  // namespace glimt
