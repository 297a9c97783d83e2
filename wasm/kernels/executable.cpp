// Decoding, planning and running a program (executable.h). Shapes are consistent with each other when the program
// was checked against the op table, which src/backends/wasm does; here memory is checked: every operand stays inside
// the buffer bound to it, and kernels check their index operands, so that no input can reach outside.
#include "executable.h"

#include "crew.h"
#include "memory.h"
#include "weights.h"

namespace glimt {
namespace {

using program::Dim;

bool fail(Fault& fault, FaultCode code, int32_t a = -1, int32_t b = -1) {
  fault = {code, {a, b, 0, 0, 0}};
  return false;
}

bool malformed(Fault& fault) { return fail(fault, FaultCode::malformed); }

template <class T>
bool allocate(T*& table, uint32_t count, Fault& fault) {
  table = (T*)allocateZeros((uint64_t)count * sizeof(T));
  return table || fail(fault, FaultCode::memory);
}

bool validDim(const Dim& dim, uint32_t symbolCount) {
  return dim.symbol == program::kNoSymbol ? dim.add >= 0 : dim.symbol < symbolCount && dim.den != 0;
}

// Reads the bytes as consecutive records.
struct Reader {
  const uint8_t* at;
  const uint8_t* end;

  template <class T>
  const T* take(uint32_t count) {
    if ((uint64_t)(end - at) < (uint64_t)count * sizeof(T)) return nullptr;
    const T* records = (const T*)at;
    at += (size_t)count * sizeof(T);
    return records;
  }
};

bool decodeBuffers(const Executable& executable, Fault& fault) {
  const program::Header& header = *executable.header;
  for (uint32_t i = 0; i < header.bufferCount; i++) {
    const program::Buffer& buffer = executable.buffers[i];
    bool temporary = buffer.kind == program::BufferKind::temporary;
    if (temporary != (buffer.slot >= 0) || (temporary && (uint32_t)buffer.slot >= header.slotCount)) {
      return malformed(fault);
    }
    if ((uint32_t)buffer.dtype >= program::kFormatCount || buffer.dtype == DType::fp8 ||
        (uint32_t)buffer.layout > (uint32_t)Layout::tiles8) {
      return malformed(fault);
    }
    if (!validDim(buffer.rows, header.symbolCount) || !validDim(buffer.cols, header.symbolCount)) {
      return malformed(fault);
    }
  }
  for (uint32_t i = 0; i < header.tensorCount; i++) {
    const program::Tensor& tensor = executable.tensors[i];
    if (tensor.buffer >= header.bufferCount) return malformed(fault);
    if (!validDim(tensor.rows, header.symbolCount) || !validDim(tensor.cols, header.symbolCount)) {
      return malformed(fault);
    }
  }
  return true;
}

bool decodeInstructions(Executable& executable, Reader reader, Fault& fault) {
  uint32_t operands = 0;
  Reader counting = reader;
  for (uint32_t i = 0; i < executable.header->instructionCount; i++) {
    const program::Instruction* encoded = counting.take<program::Instruction>(1);
    if (!encoded || !(kernelOf(encoded->op) || program::isCollective(encoded->op))) return malformed(fault);
    const uint32_t *inputs = counting.take<uint32_t>(encoded->inputCount),
                   *outputs = counting.take<uint32_t>(encoded->outputCount);
    if (!inputs || !outputs || !counting.take<uint32_t>(encoded->attrCount)) return malformed(fault);
    for (uint32_t k = 0; k < encoded->inputCount + encoded->outputCount; k++) {
      if (inputs[k] >= executable.header->tensorCount) return malformed(fault);
    }
    operands += encoded->inputCount + encoded->outputCount;
    executable.instructions[i] = {encoded, kernelOf(encoded->op), {}};
  }
  if (counting.at != counting.end) return malformed(fault);
  return allocate(executable.instructionOperands, operands, fault);
}

bool decodeInto(Executable& executable, uint32_t length, Fault& fault) {
  Reader reader = {executable.bytes, executable.bytes + length};
  executable.header = reader.take<program::Header>(1);
  if (!executable.header) return malformed(fault);
  const program::Header& header = *executable.header;
  if (header.magic != program::kMagic || header.version != program::kVersion) return malformed(fault);
  if ((uint64_t)header.words * 4 + header.stringBytes != length) return malformed(fault);
  reader.end = executable.bytes + (size_t)header.words * 4;
  if (reader.at > reader.end || !reader.take<program::Symbol>(header.symbolCount)) return malformed(fault);
  executable.buffers = reader.take<program::Buffer>(header.bufferCount);
  executable.tensors = reader.take<program::Tensor>(header.tensorCount);
  // Slots are few; a larger number than words is a lie.
  if (!executable.buffers || !executable.tensors || header.slotCount > header.words) return malformed(fault);
  if (header.instructionCount > header.words) return malformed(fault);
  return allocate(executable.symbols, header.symbolCount, fault) &&
         allocate(executable.bindings, header.bufferCount, fault) &&
         allocate(executable.operands, header.tensorCount, fault) &&
         allocate(executable.slotBytes, header.slotCount, fault) &&
         allocate(executable.instructions, header.instructionCount, fault) && decodeBuffers(executable, fault) &&
         decodeInstructions(executable, reader, fault);
}

// value = symbol * num / den + add, exactly, in 0 .. 2^31 - 1.
bool evaluate(const Executable& executable, const Dim& dim, uint32_t& value) {
  int64_t result = dim.add;
  if (dim.symbol != program::kNoSymbol) {
    uint64_t product = (uint64_t)executable.symbols[dim.symbol] * dim.num;
    if (product % dim.den || product / dim.den > INT32_MAX) return false;
    result += (int64_t)(product / dim.den);
  }
  value = (uint32_t)result;
  return result >= 0 && result <= INT32_MAX;
}

bool planSlots(Executable& executable) {
  const program::Header& header = *executable.header;
  for (uint32_t slot = 0; slot < header.slotCount; slot++) executable.slotBytes[slot] = 0;
  for (uint32_t i = 0; i < header.bufferCount; i++) {
    const program::Buffer& buffer = executable.buffers[i];
    uint32_t rows, cols;
    if (!evaluate(executable, buffer.rows, rows) || !evaluate(executable, buffer.cols, cols)) {
      return fail(executable.fault, FaultCode::dimension, (int32_t)i);
    }
    if (buffer.slot < 0) continue;
    uint64_t bytes = aligned(storageBytes(buffer.dtype, rows, cols));
    uint64_t& slot = executable.slotBytes[buffer.slot];
    slot = bytes > slot ? bytes : slot;
  }
  return true;
}

// Shapes of all operands; their memory comes with `start`.
bool planOperands(Executable& executable) {
  for (uint32_t i = 0; i < executable.header->tensorCount; i++) {
    const program::Tensor& tensor = executable.tensors[i];
    Operand& operand = executable.operands[i];
    if (!evaluate(executable, tensor.rows, operand.rows) || !evaluate(executable, tensor.cols, operand.cols)) {
      return fail(executable.fault, FaultCode::dimension, -1, (int32_t)i);
    }
    operand.stride = tensor.rowStride ? tensor.rowStride : operand.cols;
    operand.dtype = executable.buffers[tensor.buffer].dtype;
    operand.layout = executable.buffers[tensor.buffer].layout;
    operand.data = nullptr;
  }
  return true;
}

// Copies operands to where their instructions read them.
void connect(Executable& executable, uint8_t* shared) {
  Operand* next = executable.instructionOperands;
  for (uint32_t i = 0; i < executable.header->instructionCount; i++) {
    Instruction& instruction = executable.instructions[i];
    const uint32_t* words = (const uint32_t*)(instruction.encoded + 1);
    uint32_t inputs = instruction.encoded->inputCount, count = inputs + instruction.encoded->outputCount;
    for (uint32_t k = 0; k < count; k++) next[k] = executable.operands[words[k]];
    instruction.call = {next, next + inputs, words + count, shared, executable.workers};
    next += count;
  }
}

// Bytes from the start of the buffer to the end of the operand.
uint64_t reach(const program::Tensor& tensor, const Operand& operand) {
  if (operand.rows == 0 || operand.cols == 0) return 0;
  if (operand.layout != Layout::plain) {
    return storageBytes(operand.dtype, operand.rows, operand.cols, operand.layout);
  }
  uint64_t last = tensor.colOffset + (uint64_t)(operand.rows - 1) * operand.stride + operand.cols;
  return storageBytes(operand.dtype, 1, last);
}

// Looks at the indices and asks for the work. False with a fault.
bool startPhase(Executable& executable, const Instruction& instruction) {
  BadIndex bad;
  if (executable.phase == 0 && instruction.kernel->check && !instruction.kernel->check(instruction.call, bad)) {
    int32_t position = (int32_t)executable.position;
    executable.fault = {FaultCode::index, {position, (int32_t)bad.input, bad.value, bad.low, bad.high}};
    return false;
  }
  executable.work = instruction.kernel->phases[executable.phase].work(instruction.call);
  return true;
}

void endPhase(Executable& executable, const Instruction& instruction) {
  executable.part = 0;
  if (++executable.phase < instruction.kernel->phaseCount()) return;
  executable.phase = 0;
  executable.position++;
}

}  // namespace

Executable* decode(const uint8_t* bytes, uint32_t length, Fault& fault) {
  Executable* executable = (Executable*)allocateZeros(sizeof(Executable));
  if (executable) executable->bytes = (uint8_t*)allocate(length);
  if (!executable || !executable->bytes) {
    release(executable);
    fail(fault, FaultCode::memory);
    return nullptr;
  }
  __builtin_memcpy(executable->bytes, bytes, length);
  if (decodeInto(*executable, length, fault)) return executable;
  release(executable);
  return nullptr;
}

void release(Executable* executable) {
  if (!executable) return;
  void* tables[] = {executable->bytes,    executable->symbols,      executable->bindings,           executable->operands,
                    executable->slotBytes, executable->instructions, executable->instructionOperands};
  for (void* table : tables) giveBack(table);
  giveBack(executable);
}

bool plan(Executable& executable, uint32_t workers, double& arenaBytes) {
  if (!planSlots(executable) || !planOperands(executable)) return false;
  executable.workers = workers;
  connect(executable, nullptr);
  Workspace& most = executable.workspace;
  most = {0, 0};
  for (uint32_t i = 0; i < executable.header->instructionCount; i++) {
    const Instruction& instruction = executable.instructions[i];
    bool asks = instruction.kernel && instruction.kernel->workspace;
    Workspace wanted = asks ? instruction.kernel->workspace(instruction.call) : Workspace{0, 0};
    most.shared = wanted.shared > most.shared ? wanted.shared : most.shared;
    most.own = wanted.own > most.own ? wanted.own : most.own;
  }
  arenaBytes = (double)aligned(most.shared) + (double)workers * (double)aligned(most.own);
  for (uint32_t slot = 0; slot < executable.header->slotCount; slot++) arenaBytes += (double)executable.slotBytes[slot];
  return true;
}

bool start(Executable& executable, uint8_t* arena) {
  uint8_t* shared = arena;
  for (uint32_t slot = 0; slot < executable.header->slotCount; slot++) shared += executable.slotBytes[slot];
  executable.own = shared + (size_t)aligned(executable.workspace.shared);
  for (uint32_t i = 0; i < executable.header->bufferCount; i++) {
    int32_t slot = executable.buffers[i].slot;
    if (slot < 0) continue;
    uint8_t* place = arena;
    for (int32_t before = 0; before < slot; before++) place += executable.slotBytes[before];
    executable.bindings[i] = {place, executable.slotBytes[slot]};
  }
  for (uint32_t i = 0; i < executable.header->tensorCount; i++) {
    const program::Tensor& tensor = executable.tensors[i];
    Operand& operand = executable.operands[i];
    const Binding& binding = executable.bindings[tensor.buffer];
    if (reach(tensor, operand) > binding.bytes) {
      return fail(executable.fault, FaultCode::tooSmall, (int32_t)tensor.buffer);
    }
    operand.data = binding.data + (size_t)tensor.colOffset * elementBytes(operand.dtype);
  }
  connect(executable, shared);
  executable.position = executable.phase = executable.part = 0;
  return true;
}

Progress run(Executable& executable, double budget, uint32_t end) {
  uint32_t count = executable.header->instructionCount;
  while (executable.position < (end < count ? end : count)) {
    const Instruction& instruction = executable.instructions[executable.position];
    if (!instruction.kernel) break;
    if (executable.part == 0 && !startPhase(executable, instruction)) return Progress::failed;
    uint32_t left = executable.work.parts - executable.part;
    double affordable = executable.work.cost > 0 ? budget / executable.work.cost : left;
    uint32_t parts = affordable >= left ? left : affordable < 1 ? 1 : (uint32_t)affordable;
    uint32_t reached = left ? runParts(executable, executable.part, executable.part + parts) : executable.part;
    budget -= (reached - executable.part) * executable.work.cost;
    executable.part = reached;
    if (executable.part == executable.work.parts) endPhase(executable, instruction);
    if (budget <= 0 || stopAsked()) break;
  }
  return executable.position == count ? Progress::done : Progress::more;
}

double share(const Executable& executable) {
  auto now = [](const uint32_t& value) { return __atomic_load_n(&value, __ATOMIC_RELAXED); };
  uint32_t count = executable.header->instructionCount, position = now(executable.position);
  if (position >= count) return 1;
  const Kernel* kernel = executable.instructions[position].kernel;
  if (!kernel) return (double)position / count;
  uint32_t part = now(executable.part), parts = now(executable.work.parts);
  double phases = now(executable.phase) + (part < parts ? (double)part / parts : 0);
  double done = phases / kernel->phaseCount();
  return (position + (done < 1 ? done : 1)) / count;
}

}  // namespace glimt
