// attention_weights: how much a row of q attends to each key of the paged cache [pages, 2, numKvHeads, pageSize, headDim]:
// weights[i, p] = mean over heads of softmax(scale q kᵀ) at key p, one of the first lengths[i], in page
// blockTable[sequences[i], p / pageSize]; 0 at those behind.
//
// First scores, of up to kPartKeys keys of a row in a part; then a part a row and head turns its scores into weights; then a
// part of some keys adds those of the heads up. A score is one chain over the dimensions d mod 4 and their sum, weights are
// added up in four chains, key mod 4, heads in their order: so a row has the same bits however the work is cut.
#include <math.h>

#include "attention.h"
#include "kernel.h"
#include "weights.h"

namespace glimt {
namespace {

using namespace program::op_attention_weights;

constexpr uint32_t kPartKeys = 256;

uint32_t rowsOf(const Call& call) { return call.out[out_weights].rows; }
uint32_t keysOf(const Call& call) { return call.out[out_weights].cols; }

// Parts of a row's keys.
uint32_t partsOfRow(const Call& call) { return (keysOf(call) + kPartKeys - 1) / kPartKeys; }

// Scores of a row and head, then their weights, in the memory that phases share.
uint32_t scoreStride(const Call& call) { return (keysOf(call) + 3) / 4 * 4; }
float* scoresOf(const Call& call, uint32_t row, uint32_t head) {
  return (float*)call.shared + ((size_t)row * call.attrs<Attrs>().numHeads + head) * scoreStride(call);
}

// Keys that a row sees.
uint32_t lengthOf(const Call& call, uint32_t row) { return (uint32_t)call.in[in_lengths].ints()[row]; }

Workspace workspace(const Call& call) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint64_t scores = (uint64_t)rowsOf(call) * attrs.numHeads * scoreStride(call);
  return {sizeof(float) * scores, sizeof(float) * ((uint64_t)attrs.numHeads + 1) * attrs.headDim};
}

bool check(const Call& call, BadIndex& bad) {
  const Attrs& attrs = call.attrs<Attrs>();
  const Operand &table = call.in[in_blockTable], &sequences = call.in[in_sequences], &lengths = call.in[in_lengths];
  double capacity = (double)table.cols * attrs.pageSize;
  int32_t most = capacity < INT32_MAX ? (int32_t)capacity : INT32_MAX;
  if (!indicesInside(in_sequences, sequences.ints(), rowsOf(call), 0, (int32_t)table.rows - 1, bad)) return false;
  if (!indicesInside(in_lengths, lengths.ints(), rowsOf(call), 0, most, bad)) return false;
  for (uint32_t r = 0; r < rowsOf(call); r++) {
    const int32_t* pages = table.ints() + (size_t)sequences.ints()[r] * table.stride;
    uint32_t count = (lengthOf(call, r) + attrs.pageSize - 1) / attrs.pageSize;
    if (!indicesInside(in_blockTable, pages, count, 0, (int32_t)call.in[in_cache].rows - 1, bad)) return false;
  }
  return true;
}

float scoreOf(const float* q, const float* key, uint32_t headDim) {
  f32x4 sum = zero();
  uint32_t d = 0;
  for (; d + 4 <= headDim; d += 4) sum = madd(load(q + d), load(key + d), sum);
  if (d < headDim) sum = madd(loadPart(q + d, headDim - d), loadPart(key + d, headDim - d), sum);
  return sumLanes(sum);
}

Work scoreWork(const Call& call) {
  const Attrs& attrs = call.attrs<Attrs>();
  return {rowsOf(call) * partsOfRow(call), 2.0 * kPartKeys * attrs.numHeads * attrs.headDim};
}

// Of keys first .. last - 1 of a row, with all heads.
void scoreKeys(const Call& call, uint32_t row, uint32_t first, uint32_t last, uint8_t* own) {
  const Attrs& attrs = call.attrs<Attrs>();
  const Operand &cache = call.in[in_cache], &table = call.in[in_blockTable];
  uint32_t headDim = attrs.headDim, group = attrs.numHeads / attrs.numKvHeads;
  float *queries = (float*)own, *widened = queries + (size_t)attrs.numHeads * headDim;
  const float* q = call.in[in_q].row(row);
  float scale = queryScale(attrs.scale);
  for (uint32_t i = 0; i < attrs.numHeads * headDim; i++) queries[i] = q[i] * scale;
  const int32_t* pages = table.ints() + (size_t)call.in[in_sequences].ints()[row] * table.stride;
  size_t keyBytes = storageBytes(cache.dtype, 1, headDim), headBytes = keyBytes * attrs.pageSize;
  for (uint32_t p = first; p < last; p++) {
    size_t page = (size_t)pages[p / attrs.pageSize];
    const uint8_t* at = cache.data + page * 2 * attrs.numKvHeads * headBytes + p % attrs.pageSize * keyBytes;
    for (uint32_t kvHead = 0; kvHead < attrs.numKvHeads; kvHead++, at += headBytes) {
      const float* key = (const float*)at;
      if (cache.dtype != DType::f32) widen(at, cache.dtype, headDim, widened), key = widened;
      for (uint32_t head = kvHead * group; head < (kvHead + 1) * group; head++) {
        scoresOf(call, row, head)[p] = scoreOf(queries + (size_t)head * headDim, key, headDim);
      }
    }
  }
}

void score(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  for (uint32_t part = firstPart; part < lastPart; part++) {
    uint32_t row = part / partsOfRow(call), length = lengthOf(call, row);
    uint32_t first = part % partsOfRow(call) * kPartKeys, last = first + kPartKeys < length ? first + kPartKeys : length;
    scoreKeys(call, row, first, last, own);
  }
}

Work weighWork(const Call& call) {
  return {rowsOf(call) * call.attrs<Attrs>().numHeads, 20.0 * keysOf(call)};
}

// Scores become 2^(score - the largest) over the sum of these.
void weigh(float* scores, uint32_t length) {
  uint32_t whole = length / 4 * 4, rest = length - whole;
  f32x4 top = splat(-INFINITY), sum = zero();
  for (uint32_t p = 0; p < whole; p += 4) top = larger(top, load(scores + p));
  float highest = -INFINITY;
  alignas(16) float lanes[4];
  store(lanes, top);
  for (float lane : lanes) highest = highest < lane ? lane : highest;
  for (uint32_t p = whole; p < length; p++) highest = highest < scores[p] ? scores[p] : highest;
  const Exp2 exp2;
  f32x4 reference = splat(highest);
  auto power = [&](f32x4 of) { return exp2(sub(of, reference)); };
  for (uint32_t p = 0; p < whole; p += 4) {
    f32x4 weight = power(load(scores + p));
    store(scores + p, weight);
    sum = add(sum, weight);
  }
  if (rest) {
    storePart(scores + whole, power(loadPart(scores + whole, rest)), rest);
    sum = add(sum, loadPart(scores + whole, rest));
  }
  f32x4 total = splat(sumLanes(sum));
  for (uint32_t p = 0; p < whole; p += 4) store(scores + p, wasm_f32x4_div(load(scores + p), total));
  if (rest) storePart(scores + whole, wasm_f32x4_div(loadPart(scores + whole, rest), total), rest);
}

void weighHeads(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t*) {
  uint32_t heads = call.attrs<Attrs>().numHeads;
  for (uint32_t part = firstPart; part < lastPart; part++) {
    weigh(scoresOf(call, part / heads, part % heads), lengthOf(call, part / heads));
  }
}

Work meanWork(const Call& call) {
  return {rowsOf(call) * partsOfRow(call), (double)kPartKeys * call.attrs<Attrs>().numHeads};
}

void mean(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t*) {
  uint32_t heads = call.attrs<Attrs>().numHeads;
  for (uint32_t part = firstPart; part < lastPart; part++) {
    uint32_t row = part / partsOfRow(call), length = lengthOf(call, row), first = part % partsOfRow(call) * kPartKeys;
    uint32_t end = first + kPartKeys < keysOf(call) ? first + kPartKeys : keysOf(call), seen = length < end ? length : end;
    float* out = call.out[out_weights].row(row);
    for (uint32_t p = first; p < seen; p++) out[p] = scoresOf(call, row, 0)[p];
    for (uint32_t head = 1; head < heads; head++) {
      const float* weights = scoresOf(call, row, head);
      for (uint32_t p = first; p < seen; p++) out[p] += weights[p];
    }
    for (uint32_t p = first; p < end; p++) out[p] = p < seen ? out[p] / (float)heads : 0;
  }
}

}  // namespace

const Kernel kAttentionWeights = {{{scoreWork, score}, {weighWork, weighHeads}, {meanWork, mean}}, workspace, check};

}  // namespace glimt
