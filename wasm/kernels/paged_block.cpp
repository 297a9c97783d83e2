#include "paged_block.h"

#include <math.h>

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

// R rows and N runs from `run` on, each key of a run by one of every other run. N keys and R queries meet at once.
template <class Rows, uint32_t R, uint32_t N>
void scoreRuns(PagedRow* rows, const BlockRows& keys, uint32_t run, size_t offset, uint32_t headDim) {
  constexpr uint32_t kParts = Rows::kDims / 4;
  uint32_t length = keys.keys < kRunKeys ? keys.keys : kRunKeys;
  for (uint32_t i = 0; i < length; i++) {
    const uint8_t* k[N];
    f32x4 s[R][N];
#pragma unroll
    for (uint32_t n = 0; n < N; n++) {
      k[n] = keys.at[(run + n) * kRunKeys + i] + offset;
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
      for (uint32_t n = 0; n < N; n++) {
        f32x4 v[kParts];
        get(k[n], v);
#pragma unroll
        for (uint32_t p = 0; p < kParts; p++) {
#pragma unroll
          for (uint32_t r = 0; r < R; r++) s[r][n] = madd(q[r][p], v[p], s[r][n]);
        }
      }
    });
#pragma unroll
    for (uint32_t r = 0; r < R; r++) {
      float* to = rows[r].weights + i * kRuns + run;
      if constexpr (N == 6) {
        store(to, sumEach(s[r][0], s[r][1], s[r][2], s[r][3]));
        to[4] = sumLanes(s[r][4]), to[5] = sumLanes(s[r][5]);
      } else {
#pragma unroll
        for (uint32_t n = 0; n < N; n++) to[n] = sumLanes(s[r][n]);
      }
    }
  }
}

// In the order in which memory is read best: run beside run, and of each value by value.
template <class Rows, uint32_t R>
void addRuns(PagedRow* rows, const BlockRows& values, size_t offset, uint32_t headDim) {
  constexpr uint32_t kParts = Rows::kDims / 4;
  uint32_t length = values.keys < kRunKeys ? values.keys : kRunKeys;
  for (uint32_t i = 0; i < length; i++) {
    const uint8_t* v[kRuns];
    f32x4 p[R][kRuns];
    float* sums[R];
#pragma unroll
    for (uint32_t n = 0; n < kRuns; n++) v[n] = values.at[n * kRunKeys + i] + offset;
#pragma unroll
    for (uint32_t r = 0; r < R; r++) {
      sums[r] = rows[r].sums;
#pragma unroll
      for (uint32_t n = 0; n < kRuns; n++) p[r][n] = splat(rows[r].weights + i * kRuns + n);
    }
    forDims<Rows>(headDim, [&](uint32_t d, auto get) {
      f32x4 sum[R][kParts];
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
#pragma unroll
        for (uint32_t part = 0; part < kParts; part++) sum[r][part] = load(sums[r] + d + 4 * part);
      }
#pragma unroll
      for (uint32_t n = 0; n < kRuns; n++) {
        f32x4 value[kParts];
        get(v[n], value);
#pragma unroll
        for (uint32_t r = 0; r < R; r++) {
          f32x4 weight = p[r][n];
#pragma unroll
          for (uint32_t part = 0; part < kParts; part++) sum[r][part] = madd(weight, value[part], sum[r][part]);
        }
      }
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
#pragma unroll
        for (uint32_t part = 0; part < kParts; part++) store(sums[r] + d + 4 * part, sum[r][part]);
      }
    });
  }
}

// R rows and D vectors of dimensions from d on, of values that are near: sums stay in registers for the whole block.
template <class Rows, uint32_t R, uint32_t D, class Get>
void addDims(PagedRow* rows, const BlockRows& values, size_t offset, uint32_t d, Get get) {
  f32x4 sum[R][D];
#pragma unroll
  for (uint32_t r = 0; r < R; r++) {
#pragma unroll
    for (uint32_t i = 0; i < D; i++) sum[r][i] = load(rows[r].sums + d + 4 * i);
  }
  const float* p[R];
#pragma unroll
  for (uint32_t r = 0; r < R; r++) p[r] = rows[r].weights;
  uint32_t length = values.keys < kRunKeys ? values.keys : kRunKeys;
  for (uint32_t i = 0; i < length; i++) {
    for (uint32_t n = 0; n < kRuns; n++) {
      const uint8_t* row = values.at[n * kRunKeys + i] + offset;
      f32x4 weight[R];
#pragma unroll
      for (uint32_t r = 0; r < R; r++) weight[r] = splat(p[r]++);
#pragma unroll
      for (uint32_t k = 0; k < D; k++) {
        f32x4 v = get(row, k);
#pragma unroll
        for (uint32_t r = 0; r < R; r++) sum[r][k] = madd(weight[r], v, sum[r][k]);
      }
    }
  }
#pragma unroll
  for (uint32_t r = 0; r < R; r++) {
#pragma unroll
    for (uint32_t i = 0; i < D; i++) store(rows[r].sums + d + 4 * i, sum[r][i]);
  }
}

template <uint32_t R>
void addNear(PagedRow* rows, const BlockRows& values, size_t offset, uint32_t headDim) {
  uint32_t d = 0;
  for (; d + 16 <= headDim; d += 16) {
    addDims<F32Rows, R, 4>(rows, values, offset, d,
                           [=](const uint8_t* row, uint32_t k) { return load((const float*)row + d + 4 * k); });
  }
  for (; d + 4 <= headDim; d += 4) {
    addDims<F32Rows, R, 1>(rows, values, offset, d,
                           [=](const uint8_t* row, uint32_t) { return load((const float*)row + d); });
  }
  if (d < headDim) {
    addDims<F32Rows, R, 1>(rows, values, offset, d, [=](const uint8_t* row, uint32_t) {
      return loadPart((const float*)row + d, headDim - d);
    });
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

// Two rows share what is read. A short block is not read as a long one.
template <class Rows>
void score(PagedRow* rows, uint32_t count, const BlockRows& keys, size_t offset, uint32_t headDim) {
  constexpr uint32_t kMost = Rows::kRunsAtOnce;
  bool isShort = keys.keys <= 2 * kRunKeys;
  for (uint32_t r = 0; r < count; r += 2) {
    auto scoreSome = count - r > 1 ? (isShort ? scoreRuns<Rows, 2, 2> : scoreRuns<Rows, 2, kMost>)
                                   : (isShort ? scoreRuns<Rows, 1, 2> : scoreRuns<Rows, 1, kMost>);
    for (uint32_t run = 0; run < (isShort ? 2 : kRuns); run += isShort ? 2 : kMost) {
      scoreSome(rows + r, keys, run, offset, headDim);
    }
  }
}

template <class Rows>
void addValues(PagedRow* rows, uint32_t count, const BlockRows& values, size_t offset, uint32_t headDim) {
  (count > 1 ? addRuns<Rows, 2> : addRuns<Rows, 1>)(rows, values, offset, headDim);
  for (uint32_t r = 2; r < count; r += 3) {
    (count - r > 2 ? addNear<3> : count - r > 1 ? addNear<2> : addNear<1>)(rows + r, values, offset, headDim);
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
