// The functions JavaScript calls (src/backends/wasm/kernels.ts declares their types).
#include <emscripten.h>

#include "address.h"
#include "executable.h"
#include "memory.h"
#include "weights.h"

using namespace glimt;

extern "C" {

EMSCRIPTEN_KEEPALIVE double glimt_allocate(double bytes) { return addressOf(allocate((uint64_t)bytes)); }

EMSCRIPTEN_KEEPALIVE void glimt_free(Address<void> memory) { giveBack(memory); }

EMSCRIPTEN_KEEPALIVE void glimt_limit_memory(double bytes) { limitMemory((uint64_t)bytes); }

EMSCRIPTEN_KEEPALIVE double glimt_available_bytes() { return (double)availableBytes(); }

// Null with `fault` filled in when the bytes can not be run.
EMSCRIPTEN_KEEPALIVE double glimt_decode(Address<const uint8_t> bytes, uint32_t length, Address<Fault> fault) {
  return addressOf(decode(bytes, length, *fault));
}

EMSCRIPTEN_KEEPALIVE void glimt_release(Address<Executable> executable) { release(executable); }

EMSCRIPTEN_KEEPALIVE void glimt_bind(Address<Executable> executable, uint32_t buffer, Address<uint8_t> data, double bytes) {
  executable->bindings[buffer] = {data, (uint64_t)bytes};
}

EMSCRIPTEN_KEEPALIVE void glimt_set_symbol(Address<Executable> executable, uint32_t symbol, uint32_t value) {
  executable->symbols[symbol] = value;
}

// What stopped the executable's last plan, start or run.
EMSCRIPTEN_KEEPALIVE double glimt_fault(Address<const Executable> executable) { return addressOf(&executable->fault); }

// Bytes of arena the next run needs, whose parts `workers` share; -1 on a fault.
EMSCRIPTEN_KEEPALIVE double glimt_plan(Address<Executable> executable, uint32_t workers) {
  double bytes = 0;
  return plan(*executable, workers, bytes) ? bytes : -1;
}

EMSCRIPTEN_KEEPALIVE uint32_t glimt_start(Address<Executable> executable, Address<uint8_t> arena) {
  return start(*executable, arena);
}

// Up to the instruction `end`, if the budget lasts so long.
EMSCRIPTEN_KEEPALIVE Progress glimt_run(Address<Executable> executable, double budget, uint32_t end) {
  return run(*executable, budget, end);
}

// The instruction that runs next.
EMSCRIPTEN_KEEPALIVE uint32_t glimt_position(Address<const Executable> executable) { return executable->position; }

// Of a tensor of the program, once it was started.
EMSCRIPTEN_KEEPALIVE double glimt_operand(Address<const Executable> executable, uint32_t tensor) {
  return addressOf(executable->operands[tensor].data);
}

// The instruction that runs next, a collective, was done by the caller.
EMSCRIPTEN_KEEPALIVE void glimt_pass(Address<Executable> executable) { executable->position++; }

EMSCRIPTEN_KEEPALIVE double glimt_share(Address<const Executable> executable) { return share(*executable); }

EMSCRIPTEN_KEEPALIVE uint32_t glimt_pack_rows(Address<void> tiles, DType dtype, uint32_t cols, Address<const void> source,
                                              DType sourceDType, uint32_t firstRow, uint32_t count) {
  return packRows(tiles, dtype, cols, source, sourceDType, firstRow, count);
}

EMSCRIPTEN_KEEPALIVE uint32_t glimt_convert(Address<void> out, DType dtype, Address<const void> source, DType sourceDType,
                                            uint32_t rows, uint32_t cols) {
  return convertRows(out, dtype, source, sourceDType, rows, cols);
}

}
