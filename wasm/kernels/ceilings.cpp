// Loops that show what the machine can do, for benchmarks to be measured against: multiply-adds that stay in registers,
// products of blocks of integers that stay in L1, and reading memory once; alone, and on all threads of the module.
#include <emscripten.h>

#include "address.h"
#include "block_rows.h"
#include "block_sums.h"
#include "crew.h"
#include "simd.h"

using namespace glimt;

namespace {

// Of the registers' tile: five rows of x, and eight of w.
constexpr uint32_t kRows = 5, kHalves = 2;

struct ProductOperands {
  alignas(16) float y[kRows][kHalves][4];
  alignas(16) float scales[kHalves][4];
  alignas(16) int32_t w[kHalves][4];
  int32_t x[kRows];
  float rowScales[kRows];
};

// Whatever is there may have changed, and no more is known to be there than is asked for: clang would load neighbouring
// values as one vector else.
inline void forget(ProductOperands*& operands) { asm volatile("" : "+r"(operands) : : "memory"); }

// What a product with weights in blocks has to do at the least for 32 columns of a tile that lies in L1, steps at one place:
// products of integers, their sums, and y += sum * (scale of w * scale of x).
template <class Sums>
float productBlocks(uint32_t blocks, int32_t integers) {
  ProductOperands operands = {}, *o = &operands;
  for (uint32_t half = 0; half < kHalves; half++) {
    store(o->scales[half], splat(0x1p-60f)), wasm_v128_store(o->w[half], wasm_i32x4_splat(integers));
  }
  for (uint32_t r = 0; r < kRows; r++) o->rowScales[r] = 0x1p-20f, o->x[r] = integers + (int32_t)r;
  v128_t sums[kRows][kHalves];
  auto step = [&](auto sum) __attribute__((always_inline)) {
    forget(o);
    v128_t w[kHalves];
#pragma unroll
    for (uint32_t half = 0; half < kHalves; half++) w[half] = wasm_v128_load(o->w[half]);
#pragma unroll
    for (uint32_t r = 0; r < kRows; r++) {
      v128_t x = wasm_v128_load32_splat(o->x + r);
#pragma unroll
      for (uint32_t half = 0; half < kHalves; half++) sums[r][half] = sum(x, w[half], sums[r][half]);
    }
  };
  for (; blocks; blocks--) {
    step([](v128_t x, v128_t w, v128_t) { return Sums::first(x, w); });
#pragma nounroll
    for (uint32_t i = 1; i < kBlockCols / Sums::kCols; i++) step(Sums::add);
    forget(o);
#pragma unroll
    for (uint32_t r = 0; r < kRows; r++) {
#pragma unroll
      for (uint32_t half = 0; half < kHalves; half++) {
        v128_t total = sums[r][half];
        if constexpr (!Sums::kWide) total = wasm_i32x4_dot_i16x8(total, wasm_v128_load(kTile.ones));
        f32x4 scale = mul(load(o->scales[half]), splat(o->rowScales + r));
        store(o->y[r][half], add(load(o->y[r][half]), mul(wasm_f32x4_convert_i32x4(total), scale)));
      }
    }
  }
  forget(o);
  return sumLanes(load(o->y[0][0]));
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

// 2560 operations an iteration, as products with weights of a format sum them on this host.
EMSCRIPTEN_KEEPALIVE float glimt_peak_product(uint32_t iterations, DType weights, int32_t factor) {
#ifdef __wasm_relaxed_simd__
  switch (blockScheme(weights)) {
    case BlockScheme::unsignedBytes:
    case BlockScheme::signedBytes: return productBlocks<Bytes>(iterations, factor);
    case BlockScheme::halves: return productBlocks<Halves>(iterations, factor);
    case BlockScheme::flippedPairs: return productBlocks<Pairs>(iterations, factor);
    case BlockScheme::words: break;
  }
#else
  (void)weights;
#endif
  return productBlocks<Words>(iterations, factor);
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
enum class PeakLoop : uint32_t { arithmetic = 0, read = 1, q4Product = 2, q8Product = 3 };

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
      case PeakLoop::q4Product:
      case PeakLoop::q8Product:
        sink = glimt_peak_product(peak.amount, peak.loop == PeakLoop::q8Product ? DType::q8 : DType::q4, 0x01020304);
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
  if (workers > 1) {
    beginRun();
    runTogether(kPeakPhase, call, {parts, kLargestPart}, 0, parts, nullptr, 0);
    endRun();
    return;
  }
  kPeakPhase.run(call, 0, parts, nullptr);
}

}
