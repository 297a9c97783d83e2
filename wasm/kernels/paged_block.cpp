#include "paged_block.h"

#include <math.h>

#include "kernel.h"

namespace glimt {
namespace {

// Calls f(d, get) for every step of dimensions, where get(row, values) reads a row's.
template <class Rows, class F>
void forDims(uint32_t headDim, F f) {
  uint32_t d = 0;
  for (; d + Rows::kDims <= headDim; d += Rows::kDims) {
    f(d, [=](const uint8_t* row, auto& values) { Rows::step(row, d, values); });
  }
  if (d < headDim) f(d, [=](const uint8_t* row, auto& values) { Rows::part(row, d, headDim, values); });
}

// Sums of the lanes of each; the order in which they are added is sumLanes'.
f32x4 sumEach(f32x4 a, f32x4 b, f32x4 c, f32x4 d) {
  transpose(a, b, c, d);
  return add(add(a, c), add(b, d));
}

// R rows and some keys that meet at once: kKeys from key i of each of kRunsAtOnce runs.
template <class Rows, uint32_t R>
void scoreKeys(PagedRow* rows, const BlockRows& keys, uint32_t run, uint32_t i, size_t offset, uint32_t headDim) {
  constexpr uint32_t kParts = Rows::kDims / 4, kN = Rows::kRunsAtOnce * Rows::kKeysAtOnce;
  const uint8_t* k[kN];
  f32x4 s[R][kN];
#pragma unroll
  for (uint32_t n = 0; n < kN; n++) {
    k[n] = keys.at[(run + n % Rows::kRunsAtOnce) * kRunKeys + i + n / Rows::kRunsAtOnce] + offset;
#pragma unroll
    for (uint32_t r = 0; r < R; r++) s[r][n] = zero();
  }
  forDims<Rows>(headDim, [&](uint32_t d, auto get) {
    f32x4 q[R][kParts];
#pragma unroll
    for (uint32_t r = 0; r < R; r++) {
#pragma unroll
      for (uint32_t p = 0; p < kParts; p++) q[r][p] = load(rows[r].q + d + 4 * p);
    }
#pragma unroll
    for (uint32_t n = 0; n < kN; n++) {
      f32x4 v[kParts];
      get(k[n], v);
#pragma unroll
      for (uint32_t p = 0; p < kParts; p++) {
#pragma unroll
        for (uint32_t r = 0; r < R; r++) s[r][n] = madd(q[r][p], v[p], s[r][n]);
      }
    }
  });
  // Slots of two runs lie side by side.
#pragma unroll
  for (uint32_t r = 0; r < R; r++) {
    auto slot = [&](uint32_t n) { return rows[r].weights + (i + n / Rows::kRunsAtOnce) * kRuns + run + n % Rows::kRunsAtOnce; };
#pragma unroll
    for (uint32_t n = 0; n < kN; n += 4) {
      uint32_t next = n + 2 < kN ? n + 2 : n;
      v128_t sums = sumEach(s[r][n], s[r][n + 1], s[r][next], s[r][next + 1]);
      wasm_v128_store64_lane(slot(n), sums, 0), wasm_v128_store64_lane(slot(next), sums, 1);
    }
  }
}

// All runs are read side by side; those without keys are left out.
template <class Rows, uint32_t R>
void scoreRows(PagedRow* rows, const BlockRows& keys, size_t offset, uint32_t headDim) {
  for (uint32_t i = 0; i < least(keys.keys, kRunKeys); i += Rows::kKeysAtOnce) {
    for (uint32_t run = 0; run < kRuns && run * kRunKeys < keys.keys; run += Rows::kRunsAtOnce) {
      scoreKeys<Rows, R>(rows, keys, run, i, offset, headDim);
    }
  }
}

// R rows, slots `first` .. `last` - 1 and D vectors of dimensions from d on; get(row, step, values) reads a row's, in steps of S vectors.
template <uint32_t R, uint32_t D, uint32_t S, class Get>
void addDims(PagedRow* rows, const uint8_t* const* at, uint32_t first, uint32_t last, uint32_t d, Get get) {
  f32x4 sum[R][D];
#pragma unroll
  for (uint32_t r = 0; r < R; r++) {
#pragma unroll
    for (uint32_t i = 0; i < D; i++) sum[r][i] = load(rows[r].sums + d + 4 * i);
  }
  const float* p[R];
#pragma unroll
  for (uint32_t r = 0; r < R; r++) p[r] = rows[r].weights;
  // Not unrolled: one sum would be added up after the other, and all values would stay alive.
#pragma nounroll
  for (uint32_t slot = first; slot < last; slot++) {
    const uint8_t* row = at[slot];
    f32x4 weight[R];
#pragma unroll
    for (uint32_t r = 0; r < R; r++) weight[r] = splat(p[r] + slot);
#pragma unroll
    for (uint32_t step = 0; step < D / S; step++) {
      f32x4 v[S];
      get(row, step, v);
#pragma unroll
      for (uint32_t s = 0; s < S; s++) {
#pragma unroll
        for (uint32_t r = 0; r < R; r++) sum[r][S * step + s] = madd(weight[r], v[s], sum[r][S * step + s]);
      }
    }
  }
#pragma unroll
  for (uint32_t r = 0; r < R; r++) {
#pragma unroll
    for (uint32_t i = 0; i < D; i++) store(rows[r].sums + d + 4 * i, sum[r][i]);
  }
}

template <class Rows, uint32_t R>
void addRows(PagedRow* rows, const uint8_t* const* at, uint32_t first, uint32_t last, uint32_t headDim) {
  constexpr uint32_t kDims = Rows::kDims, kStep = kDims / 4, kMany = 16;
  uint32_t d = 0;
  for (; d + kMany <= headDim; d += kMany) {
    addDims<R, kMany / 4, kStep>(rows, at, first, last, d, [=](const uint8_t* row, uint32_t step, auto& v) {
      Rows::step(row, d + kDims * step, v);
    });
  }
  for (; d + kDims <= headDim; d += kDims) {
    addDims<R, kStep, kStep>(rows, at, first, last, d, [=](const uint8_t* row, uint32_t, auto& v) { Rows::step(row, d, v); });
  }
  if (d < headDim) {
    addDims<R, kStep, kStep>(rows, at, first, last, d,
                             [=](const uint8_t* row, uint32_t, auto& v) { Rows::part(row, d, headDim, v); });
  }
}

template <class Rows>
void widenRow(const uint8_t* row, uint32_t headDim, float* to) {
  forDims<Rows>(headDim, [&](uint32_t d, auto get) {
    f32x4 values[Rows::kDims / 4];
    get(row, values);
    for (uint32_t i = 0; i < Rows::kDims / 4; i++) {
      uint32_t first = d + 4 * i;
      if (first + 4 <= headDim) store(to + first, values[i]);
      else if (first < headDim) storePart(to + first, values[i], headDim - first);
    }
  });
}

template <class Rows>
bool isFinite(const uint8_t* row, uint32_t headDim) {
  v128_t magnitude = wasm_i32x4_splat(0x7fffffff), largest = wasm_i32x4_splat(0x7f7fffff), bad = zero();
  forDims<Rows>(headDim, [&](uint32_t, auto get) {
    f32x4 values[Rows::kDims / 4];
    get(row, values);
    for (f32x4 value : values) bad = wasm_v128_or(bad, wasm_i32x4_gt(wasm_v128_and(value, magnitude), largest));
  });
  return !wasm_v128_any_true(bad);
}

// Two rows share what is read.
template <class Rows>
void score(PagedRow* rows, uint32_t count, const BlockRows& keys, size_t offset, uint32_t headDim) {
  for (uint32_t r = 0; r < count; r += 2) {
    (count - r > 1 ? scoreRows<Rows, 2> : scoreRows<Rows, 1>)(rows + r, keys, offset, headDim);
  }
}

template <class Rows>
void addValues(PagedRow* rows, uint32_t count, const BlockRows& values, size_t offset, uint32_t headDim) {
  const uint8_t* at[kBlockKeys];
  uint32_t slots = slotsOf(values.keys);
  for (uint32_t slot = 0; slot < slots; slot++) at[slot] = values.at[kSlotKeys.of[slot]] + offset;
  // Some of each run meet all dimensions before the next ones do.
  constexpr uint32_t kTogether = Rows::kKeysAtOnce * kRuns;
  for (uint32_t first = 0; first < slots; first += kTogether) {
    uint32_t last = least(first + kTogether, slots);
    for (uint32_t r = 0; r < count; r += 2) {
      (count - r > 1 ? addRows<Rows, 2> : addRows<Rows, 1>)(rows + r, at, first, last, headDim);
    }
  }
}

}  // namespace

const SlotKeys kSlotKeys;

template <class Power>
void weighBlock(PagedRow& row, uint32_t seen, uint32_t headDim) {
  float* weights = row.weights;
  uint32_t slots = (slotsOf(seen) + 3) / 4 * 4;
  v128_t end = wasm_i32x4_splat((int32_t)seen);
  auto isSeen = [=](uint32_t slot) { return wasm_i32x4_lt(wasm_v128_load(kSlotKeys.of + slot), end); };
  if (seen < kBlockKeys) {
    for (uint32_t i = 0; i < slots; i += 4) {
      store(weights + i, wasm_v128_bitselect(load(weights + i), splat(-INFINITY), isSeen(i)));
    }
  }
  alignas(16) float lanes[4];
  f32x4 old = splat(row.reference), max = old;
  for (uint32_t i = 0; i < slots; i += 4) max = larger(max, load(weights + i));
  store(lanes, max);
  float top = lanes[0];
  for (uint32_t i = 1; i < 4; i++) top = top < lanes[i] ? lanes[i] : top;
  f32x4 now = nextReference(old, splat(top)), sum = zero();
  const Power exp2;
  for (uint32_t i = 0; i < slots; i += 4) {
    f32x4 p = exp2(sub(load(weights + i), now));
    if (seen < kBlockKeys) p = wasm_v128_and(p, isSeen(i));
    store(weights + i, p);
    sum = add(sum, p);
  }
  for (uint32_t i = slots; i < kBlockKeys; i += 4) store(weights + i, zero());
  float fade = wasm_f32x4_extract_lane(exp2(sub(old, now)), 0);
  if (fade != 1) {
    for (uint32_t d = 0; d < padded(headDim); d += 4) store(row.sums + d, mul(load(row.sums + d), splat(fade)));
  }
  store(lanes, sum);
  row.reference = wasm_f32x4_extract_lane(now, 0);
  row.sum = row.sum * fade + ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]));
}

template void weighBlock<Exp2>(PagedRow&, uint32_t, uint32_t);
template void weighBlock<ApartExp2>(PagedRow&, uint32_t, uint32_t);

template <class Rows, bool isNarrow>
constexpr BlockSteps kFloatSteps = {
    Rows::bytes, nullptr, score<Rows>, weighBlock<Exp2>, addValues<Rows>, widenRow<Rows>, isFinite<Rows>, isNarrow};

const BlockSteps kF32Steps = kFloatSteps<F32Rows, false>;
const BlockSteps kBf16Steps = kFloatSteps<Bf16Rows, true>;

void widenBlock(const BlockSteps& steps, BlockRows& rows, size_t offset, uint32_t headDim, float* near) {
  for (uint32_t key = 0; key < kBlockKeys; key++) {
    float* to = near + (size_t)(key < rows.keys ? key : 0) * headDim;
    if (key < rows.keys) steps.widen(rows.at[key] + offset, headDim, to);
    rows.at[key] = (const uint8_t*)to;
  }
}

}  // namespace glimt
