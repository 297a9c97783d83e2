// sample: chooses a token from a row of logits, or its adjusted row, by its settings (temperature, topP, minP) and choices
// (topK, draw). src/backends/reference/sample.ts has the algorithm, which is followed to the bit: no fused multiply-add,
// integer weights. What a cut keeps is a prefix of the tokens in their order, so it is told by the weight at its end and
// how many of those that weigh as much belong to it; that weight is found by its digits, without sorting. A part is one
// row.
#include <math.h>

#include "kernel.h"
#include "simd.h"

namespace glimt {
namespace {

using namespace program::op_sample;

// Digits of a weight, from the highest: 11, 11 and 10 bits.
constexpr uint32_t kShifts[] = {21, 10, 0};
constexpr uint32_t kBins = 2048;

struct Bin {
  uint64_t sum;
  uint32_t count;
};

struct Settings {
  float temperature, topP, minP;
};

Work work(const Call& call) { return {call.in[in_logits].rows, 40.0 * call.in[in_logits].cols}; }

// Weights, then the bins.
uint64_t weightBytes(const Call& call) { return (sizeof(float) * (uint64_t)call.in[in_logits].cols + 15) / 16 * 16; }
Workspace workspace(const Call& call) { return {0, weightBytes(call) + kBins * sizeof(Bin)}; }

bool check(const Call& call, BadIndex& bad) {
  const Operand& places = call.in[in_adjustedAs];
  return indicesInside(in_adjustedAs, places.ints(), places.length(), -1, (int32_t)call.in[in_adjusted].rows - 1, bad);
}

// NaN when there is one.
float largest(const float* x, uint32_t n) {
  f32x4 top = wasm_f32x4_splat(-INFINITY), unordered = zero();
  uint32_t i = 0;
  for (; i + 4 <= n; i += 4) {
    f32x4 value = load(x + i);
    top = larger(top, value);
    unordered = wasm_v128_or(unordered, wasm_f32x4_ne(value, value));
  }
  float best = -INFINITY;
  bool nan = wasm_v128_any_true(unordered);
  alignas(16) float lanes[4];
  store(lanes, top);
  for (float lane : lanes) best = lane > best ? lane : best;
  for (; i < n; i++) {
    best = x[i] > best ? x[i] : best;
    nan |= x[i] != x[i];
  }
  return nan ? NAN : best;
}

// Where `value` is first; it is there.
uint32_t firstEqual(const float* x, uint32_t n, float value) {
  f32x4 wanted = splat(value);
  uint32_t i = 0;
  while (i + 4 <= n && !wasm_v128_any_true(wasm_f32x4_eq(load(x + i), wanted))) i += 4;
  while (x[i] != value) i++;
  return i;
}

// floor(2^31 e^((logit - top) / temperature)), by the steps of the reference.
void weigh(const float* logits, uint32_t n, float top, float temperature, uint32_t* weights) {
  f32x4 largestOfAll = splat(top), divisor = splat(temperature), lowest = splat(-22.0f);
  f32x4 log2e = splat(&kExp.log2e), rounder = splat(&kExp.rounder), one = splat(&kExp.one);
  f32x4 ln2High = splat(&kExp.ln2High), ln2Low = splat(&kExp.ln2Low);
  f32x4 p0 = splat(&kExp.p0), p1 = splat(&kExp.p1), p2 = splat(&kExp.p2);
  f32x4 p3 = splat(&kExp.p3), p4 = splat(&kExp.p4), p5 = splat(&kExp.p5);
  for (uint32_t i = 0; i < n; i += 4) {
    bool whole = i + 4 <= n;
    f32x4 logit = whole ? load(logits + i) : loadPart(logits + i, n - i);
    f32x4 x = wasm_f32x4_div(sub(logit, largestOfAll), divisor);
    v128_t counts = wasm_v128_and(wasm_f32x4_ge(x, lowest), wasm_f32x4_le(x, zero()));
    f32x4 shifted = add(mul(x, log2e), rounder);
    f32x4 power = sub(shifted, rounder);
    f32x4 r = sub(sub(x, mul(power, ln2High)), mul(power, ln2Low));
    f32x4 p = add(mul(p0, r), p1);
    p = add(mul(p, r), p2);
    p = add(mul(p, r), p3);
    p = add(mul(p, r), p4);
    p = add(mul(p, r), p5);
    p = add(add(mul(p, mul(r, r)), r), one);
    // Times 2^(31 + power): the low bits of `shifted` are the power.
    v128_t exponent = wasm_i32x4_add(wasm_i32x4_shl(shifted, 23), wasm_i32x4_splat(31 << 23));
    v128_t weight = wasm_v128_and(wasm_u32x4_trunc_sat_f32x4(wasm_i32x4_add(p, exponent)), counts);
    if (whole) wasm_v128_store(weights + i, weight);
    else storePart((float*)weights + i, weight, n - i);
  }
}

// A weight and what is above it.
struct Place {
  uint32_t weight;
  uint64_t countAbove, sumAbove;
};

enum class Measure { count, sum };

// The weight at which the running value, over all weights from the largest, reaches `goal`; 0 when it never does.
Place find(const uint32_t* weights, uint32_t n, Measure measure, uint64_t goal, Bin* bins) {
  Place place = {0, 0, 0};
  for (uint32_t digit = 0; digit < 3; digit++) {
    uint32_t shift = kShifts[digit], above = digit == 0 ? 32 : kShifts[digit - 1], size = 1u << (above - shift);
    for (uint32_t b = 0; b < size; b++) bins[b] = {0, 0};
    uint64_t known = (uint64_t)place.weight >> above;
    for (uint32_t i = 0; i < n; i++) {
      uint32_t weight = weights[i];
      if ((uint64_t)weight >> above != known) continue;
      Bin& bin = bins[(weight >> shift) & (size - 1)];
      bin.sum += weight;
      bin.count++;
    }
    uint32_t b = size;
    for (;;) {
      if (b == 0) return {0, 0, 0};
      b--;
      uint64_t reached = measure == Measure::count ? place.countAbove + bins[b].count : place.sumAbove + bins[b].sum;
      if (reached >= goal) break;
      place.countAbove += bins[b].count;
      place.sumAbove += bins[b].sum;
    }
    place.weight |= b << shift;
  }
  return place;
}

// Sets weights to 0 but those above `weight` and the first `ties` that are equal to it. Returns the sum of what is left.
uint64_t keep(uint32_t* weights, uint32_t n, uint32_t weight, uint64_t ties) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < n; i++) {
    bool kept = weights[i] > weight;
    if (weights[i] == weight && ties > 0) kept = true, ties--;
    weights[i] = kept ? weights[i] : 0;
    sum += weights[i];
  }
  return sum;
}

uint64_t sumOf(const uint32_t* weights, uint32_t n) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < n; i++) sum += weights[i];
  return sum;
}

int32_t drawFrom(const uint32_t* weights, uint32_t n, uint64_t sum, uint32_t draw) {
  double target = (double)draw * 0x1p-32 * (double)sum;
  uint64_t running = 0;
  for (uint32_t i = 0; i < n; i++) {
    running += weights[i];
    if ((double)running > target) return (int32_t)i;
  }
  return -1;
}

int32_t choose(const float* logits, uint32_t n, const Settings& settings, int32_t topK, uint32_t draw,
               uint32_t* weights, Bin* bins) {
  float top = largest(logits, n);
  if (!(fabsf(top) < INFINITY)) return -1;
  if (settings.temperature == 0) return (int32_t)firstEqual(logits, n, top);
  weigh(logits, n, top, settings.temperature, weights);
  uint64_t sum = sumOf(weights, n);
  if (topK > 0 && (uint32_t)topK < n) {
    Place last = find(weights, n, Measure::count, (uint64_t)topK, bins);
    sum = keep(weights, n, last.weight, n);
  }
  if (!(settings.topP >= 1)) {
    double limit = ceil((double)settings.topP * (double)sum);
    if (!(limit > 0)) return -1;
    Place last = find(weights, n, Measure::sum, (uint64_t)limit, bins);
    // The first of equals is kept when what is above it is below the limit, the next ones as long as that goes on.
    uint64_t ties = ((uint64_t)limit - last.sumAbove + last.weight - 1) / last.weight;
    sum = keep(weights, n, last.weight, ties);
  }
  if (!(settings.minP <= 0)) {
    double least = ceil((double)settings.minP * 0x1p31);
    if (!(least <= 0x1p31)) return -1;
    sum = keep(weights, n, (uint32_t)least - 1, 0);
  }
  return drawFrom(weights, n, sum, draw);
}

void run(const Call& call, uint32_t firstRow, uint32_t lastRow, uint8_t* own) {
  uint32_t v = call.in[in_logits].cols;
  uint32_t* weights = (uint32_t*)own;
  Bin* bins = (Bin*)(own + weightBytes(call));
  const int32_t* adjustedAs = call.in[in_adjustedAs].ints();
  for (uint32_t m = firstRow; m < lastRow; m++) {
    const float* logits = adjustedAs[m] < 0 ? call.in[in_logits].row(m) : call.in[in_adjusted].row(adjustedAs[m]);
    const Settings& settings = *(const Settings*)call.in[in_settings].row(m);
    const int32_t* choices = (const int32_t*)call.in[in_choices].row(m);
    int32_t token = choose(logits, v, settings, choices[0], (uint32_t)choices[1], weights, bins);
    *(int32_t*)call.out[out_tokens].row(m) = token;
  }
}

}  // namespace

const Kernel kSample = {{{work, run}}, workspace, check};

}  // namespace glimt
