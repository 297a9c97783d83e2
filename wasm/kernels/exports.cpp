// The functions JavaScript calls (src/backends/wasm/kernels.ts declares their types). Sizes that may pass 2^32 are
// doubles.
#include <emscripten.h>

#include "executable.h"
#include "memory.h"
#include "weights.h"

using namespace glimt;

extern "C" {

EMSCRIPTEN_KEEPALIVE void* glimt_allocate(uint32_t bytes) { return allocate(bytes); }

EMSCRIPTEN_KEEPALIVE void glimt_free(void* memory) { giveBack(memory); }

// Null with `fault` filled in when the bytes can not be run.
EMSCRIPTEN_KEEPALIVE Executable* glimt_decode(const uint8_t* bytes, uint32_t length, Fault* fault) {
  return decode(bytes, length, *fault);
}

EMSCRIPTEN_KEEPALIVE void glimt_release(Executable* executable) { release(executable); }

EMSCRIPTEN_KEEPALIVE void glimt_bind(Executable* executable, uint32_t buffer, uint8_t* data, double bytes) {
  executable->bindings[buffer] = {data, (uint64_t)bytes};
}

EMSCRIPTEN_KEEPALIVE void glimt_set_symbol(Executable* executable, uint32_t symbol, uint32_t value) {
  executable->symbols[symbol] = value;
}

// What stopped the executable's last plan, start or run.
EMSCRIPTEN_KEEPALIVE const Fault* glimt_fault(const Executable* executable) { return &executable->fault; }

// Bytes of arena the next run needs, whose parts `workers` share; -1 on a fault.
EMSCRIPTEN_KEEPALIVE double glimt_plan(Executable* executable, uint32_t workers) {
  double bytes = 0;
  return plan(*executable, workers, bytes) ? bytes : -1;
}

EMSCRIPTEN_KEEPALIVE uint32_t glimt_start(Executable* executable, uint8_t* arena) {
  return start(*executable, arena);
}

EMSCRIPTEN_KEEPALIVE Progress glimt_run(Executable* executable, double budget) {
  return run(*executable, budget);
}

EMSCRIPTEN_KEEPALIVE double glimt_share(const Executable* executable) { return share(*executable); }

EMSCRIPTEN_KEEPALIVE uint32_t glimt_pack_rows(void* tiles, DType dtype, uint32_t cols, const void* source,
                                              DType sourceDType, uint32_t firstRow, uint32_t count) {
  return packRows(tiles, dtype, cols, source, sourceDType, firstRow, count);
}

EMSCRIPTEN_KEEPALIVE uint32_t glimt_convert(void* out, DType dtype, const void* source, DType sourceDType,
                                            uint32_t rows, uint32_t cols) {
  return convertRows(out, dtype, source, sourceDType, rows, cols);
}

}
