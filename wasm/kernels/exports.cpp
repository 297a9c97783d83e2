// The functions JavaScript calls (src/backends/wasm/kernels.ts declares their types). Sizes that may pass 2^32 are
// doubles. After a failure `glimt_fault` points at the fault's six words.
#include <emscripten.h>
#include <stdlib.h>

#include "executable.h"
#include "weights.h"

using namespace glimt;

namespace {
Fault lastFault;
}

extern "C" {

EMSCRIPTEN_KEEPALIVE void* glimt_allocate(uint32_t bytes) { return aligned_alloc(64, bytes); }

EMSCRIPTEN_KEEPALIVE void glimt_free(void* memory) { free(memory); }

EMSCRIPTEN_KEEPALIVE const Fault* glimt_fault() { return &lastFault; }

EMSCRIPTEN_KEEPALIVE Executable* glimt_decode(const uint8_t* bytes, uint32_t length) {
  return decode(bytes, length, lastFault);
}

EMSCRIPTEN_KEEPALIVE void glimt_release(Executable* executable) { release(executable); }

EMSCRIPTEN_KEEPALIVE void glimt_bind(Executable* executable, uint32_t buffer, uint8_t* data, double bytes,
                                     uint32_t packed) {
  executable->bindings[buffer] = {data, (uint64_t)bytes, packed != 0};
}

EMSCRIPTEN_KEEPALIVE void glimt_set_symbol(Executable* executable, uint32_t symbol, uint32_t value) {
  executable->symbols[symbol] = value;
}

// Bytes of arena the next run needs, -1 on a fault.
EMSCRIPTEN_KEEPALIVE double glimt_plan(Executable* executable) {
  uint64_t bytes = 0;
  return plan(*executable, bytes, lastFault) ? (double)bytes : -1;
}

EMSCRIPTEN_KEEPALIVE uint32_t glimt_start(Executable* executable, uint8_t* arena) {
  return start(*executable, arena, lastFault);
}

EMSCRIPTEN_KEEPALIVE Progress glimt_run(Executable* executable, double budget) {
  return run(*executable, budget, lastFault);
}

// Share of the instructions that are done.
EMSCRIPTEN_KEEPALIVE double glimt_share(const Executable* executable) {
  double parts = executable->part ? (double)executable->part / executable->work.parts : 0;
  uint32_t count = executable->header->instructionCount;
  return count ? (executable->position + parts) / count : 1;
}

EMSCRIPTEN_KEEPALIVE uint32_t glimt_pack_rows(void* packed, DType dtype, uint32_t cols, const void* source,
                                              DType sourceDType, uint32_t firstRow, uint32_t count) {
  return packRows(packed, dtype, cols, source, sourceDType, firstRow, count);
}

EMSCRIPTEN_KEEPALIVE uint32_t glimt_convert(void* out, DType dtype, const void* source, DType sourceDType,
                                            uint32_t count) {
  return convertElements(out, dtype, source, sourceDType, count);
}

}
