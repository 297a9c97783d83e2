// Loops that show what the machine can do, for benchmarks to be measured against: multiply-adds that stay in registers,
// sums of integer products that do, and reading memory once; alone, and on all threads of the module.
#include <emscripten.h>

#include "address.h"
#include "byte_dot.h"
#include "crew.h"
#include "simd.h"

using namespace glimt;

namespace {

// Twelve chains of `step`, which adds the products of 16 pairs of bytes to a sum.
template <class Step>
float sumChains(uint32_t iterations, int32_t start, Step step) {
  constexpr uint32_t kChains = 12;
  v128_t sums[kChains];
#pragma unroll
  for (uint32_t i = 0; i < kChains; i++) sums[i] = wasm_i32x4_splat(start);
  for (; iterations; iterations--) {
#pragma unroll
    for (uint32_t i = 0; i < kChains; i++) sums[i] = step(sums[i]);
  }
  v128_t all = sums[0];
#pragma unroll
  for (uint32_t i = 1; i < kChains; i++) all = wasm_i32x4_add(all, sums[i]);
  return sumLanes(wasm_f32x4_convert_i32x4(all));
}

}  // namespace

extern "C" {

// 96 floating-point operations an iteration, in twelve chains so that none waits for another; returns a sum so that
// nothing is removed. The factors are arguments because V8 rebuilds a constant vector at each use.
EMSCRIPTEN_KEEPALIVE float glimt_peak_arithmetic(uint32_t iterations, float factor, float term) {
  f32x4 x = splat(factor), y = splat(term);
  f32x4 a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;
  for (; iterations; iterations--) {
    a = madd(a, x, y), b = madd(b, x, y), c = madd(c, x, y), d = madd(d, x, y);
    e = madd(e, x, y), f = madd(f, x, y), g = madd(g, x, y), h = madd(h, x, y);
    i = madd(i, x, y), j = madd(j, x, y), k = madd(k, x, y), l = madd(l, x, y);
  }
  f32x4 sum = add(add(add(a, b), add(c, d)), add(add(e, f), add(g, h)));
  return sumLanes(add(sum, add(add(i, j), add(k, l))));
}

// 384 operations an iteration on bytes of 7 bits, as products with weights of 4 bits sum them on this host. Where sums are
// added by another instruction they are factors too, so that no product is always the same.
EMSCRIPTEN_KEEPALIVE float glimt_peak_dot(uint32_t iterations, int32_t a, int32_t b) {
  v128_t x = wasm_i8x16_splat((int8_t)a), y = wasm_i8x16_splat((int8_t)b);
#ifdef __wasm_relaxed_simd__
  if (byteDot() == ByteDot::lowBits) {
    return sumChains(iterations, a, [=](v128_t sum) {
      return wasm_i16x8_add(sum, wasm_i16x8_relaxed_dot_i8x16_i7x16(sum, y));
    });
  }
  return sumChains(iterations, a, [=](v128_t sum) { return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, y, sum); });
#else
  (void)x;
  return sumChains(iterations, a, [=](v128_t sum) {
    sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(sum, y));
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(sum, y));
  });
#endif
}

// Reads `bytes` (a multiple of 64) once.
EMSCRIPTEN_KEEPALIVE float glimt_peak_read(Address<const uint8_t> begin, double bytes) {
  const uint8_t* memory = begin;
  v128_t a = zero(), b = zero(), c = zero(), d = zero();
  for (const uint8_t* end = memory + (size_t)bytes; memory != end; memory += 64) {
    a = wasm_v128_or(a, wasm_v128_load(memory));
    b = wasm_v128_or(b, wasm_v128_load(memory + 16));
    c = wasm_v128_or(c, wasm_v128_load(memory + 32));
    d = wasm_v128_or(d, wasm_v128_load(memory + 48));
  }
  return sumLanes(wasm_v128_or(wasm_v128_or(a, b), wasm_v128_or(c, d)));
}

}

namespace {

// Their order is that of PEAK_LOOPS in src/backends/wasm/ceilings.ts.
enum class PeakLoop : uint32_t { arithmetic = 0, read = 1, dot = 2 };

struct PeakCall {
  PeakLoop loop;
  uint32_t amount;
  // As JavaScript has addresses.
  double memory;
  float factor, term;
};

// Keeps the loops from being removed.
volatile float sink;

void runPeak(const Call& call, uint32_t first, uint32_t last, uint8_t*) {
  const PeakCall& peak = call.attrs<PeakCall>();
  for (uint32_t part = first; part < last; part++) {
    switch (peak.loop) {
      case PeakLoop::arithmetic:
        sink = glimt_peak_arithmetic(peak.amount, peak.factor, peak.term);
        break;
      case PeakLoop::read:
        sink = glimt_peak_read({peak.memory + (double)part * peak.amount}, peak.amount);
        break;
      case PeakLoop::dot:
        sink = glimt_peak_dot(peak.amount, 3, 5);
        break;
    }
  }
}

constexpr Phase kPeakPhase = {nullptr, runPeak};

}  // namespace

extern "C" {

// One of them on `workers` threads, as a phase of `parts` parts. Of each part `amount` is the iterations, or the bytes that
// it reads of `memory`, which the parts share in turn.
EMSCRIPTEN_KEEPALIVE void glimt_peak_together(PeakLoop loop, uint32_t workers, uint32_t parts, uint32_t amount,
                                              double memory, float factor, float term) {
  PeakCall arguments = {loop, amount, memory, factor, term};
  Call call = {nullptr, nullptr, (const uint32_t*)&arguments, nullptr, workers};
#ifdef __wasm_atomics__
  if (workers > 1) {
    beginRun();
    runTogether(kPeakPhase, call, kLargestPart, 0, parts, nullptr, 0);
    endRun();
    return;
  }
#endif
  kPeakPhase.run(call, 0, parts, nullptr);
}

}
