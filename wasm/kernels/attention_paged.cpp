// attention_paged: causal grouped-query attention over the paged cache [pages, 2, numKvHeads, pageSize, headDim].
// Query row t of sequence s, n rows long, sits at position contextLens[s] - n + t and sees the keys up to itself; key
// p is in page blockTable[s, p / pageSize].
//
// The numHeads / numKvHeads query heads of one key/value head are rows of the same block, token by token, so that
// a packed block of keys serves all of them. A block of few rows (decoding) reads the cache directly instead: for
// every key s = scale q·k, the running maximum and sum as in attention.h, O += p v for four keys at a time.
#include <float.h>
#include <math.h>

#include "attention.h"
#include "kernel.h"

namespace glimt {
namespace {

using namespace program::op_attention_paged;

constexpr uint32_t kDirectRows = 4;

// The cache of one sequence and one key/value head.
struct PagedHead {
  const float* cache;
  const int32_t* pages;
  size_t pageFloats, keyOffset, valueOffset;
  uint32_t pageSize, headDim;

  const float* at(uint32_t position, size_t offset) const {
    uint32_t page = position / pageSize;
    return cache + (size_t)pages[page] * pageFloats + offset + (size_t)(position - page * pageSize) * headDim;
  }
  const float* key(uint32_t position) const { return at(position, keyOffset); }
  const float* value(uint32_t position) const { return at(position, valueOffset); }
};

PagedHead pagedHead(const Call& call, uint32_t sequence, uint32_t head) {
  const Attrs& attrs = call.attrs<Attrs>();
  size_t headFloats = (size_t)attrs.pageSize * attrs.headDim;
  return {call.in[in_cache].floats(),
          call.in[in_blockTable].ints() + (size_t)sequence * call.in[in_blockTable].stride,
          2 * attrs.numKvHeads * headFloats,
          head * headFloats,
          (attrs.numKvHeads + head) * headFloats,
          attrs.pageSize,
          attrs.headDim};
}

struct Sequence {
  // Query rows are row * group + head inside the group.
  uint32_t firstToken, rows, group, context, blocks;
};

Sequence sequenceOf(const Call& call, uint32_t s) {
  const Attrs& attrs = call.attrs<Attrs>();
  const int32_t* offsets = call.in[in_cuSeqlens].ints();
  uint32_t group = attrs.numHeads / attrs.numKvHeads, rows = (uint32_t)(offsets[s + 1] - offsets[s]) * group;
  uint32_t blocks = (rows + kQueryRows - 1) / kQueryRows;
  return {(uint32_t)offsets[s], rows, group, (uint32_t)call.in[in_contextLens].ints()[s], blocks};
}

Work work(const Call& call) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t parts = 0;
  double pairs = 0;
  for (uint32_t s = 0; s < call.in[in_contextLens].length(); s++) {
    Sequence sequence = sequenceOf(call, s);
    parts += sequence.blocks * attrs.numKvHeads;
    pairs += (double)sequence.rows * sequence.context;
  }
  return {parts, parts ? 4.0 * pairs * attrs.numKvHeads * attrs.headDim / parts : 0};
}

uint64_t scratch(const Call& call) { return AttentionScratch::bytes(call.attrs<Attrs>().headDim); }

bool check(const Call& call, BadIndex& bad) {
  const Attrs& attrs = call.attrs<Attrs>();
  const Operand &offsets = call.in[in_cuSeqlens], &table = call.in[in_blockTable], &contexts = call.in[in_contextLens];
  if (!offsetsRise(in_cuSeqlens, offsets.ints(), offsets.length(), call.in[in_q].rows, bad)) return false;
  for (uint32_t s = 0; s < contexts.length(); s++) {
    int32_t queries = offsets.ints()[s + 1] - offsets.ints()[s];
    double capacity = (double)table.cols * attrs.pageSize;
    int32_t high = capacity < INT32_MAX ? (int32_t)capacity : INT32_MAX;
    if (!indicesInside(in_contextLens, contexts.ints() + s, 1, queries, high, bad)) return false;
    if (queries == 0) continue;
    uint32_t pages = ((uint32_t)contexts.ints()[s] + attrs.pageSize - 1) / attrs.pageSize;
    const int32_t* row = table.ints() + (size_t)s * table.stride;
    if (!indicesInside(in_blockTable, row, pages, 0, (int32_t)call.in[in_cache].rows - 1, bad)) return false;
  }
  return true;
}

float dot(const float* a, const float* b, uint32_t count) {
  f32x4 s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
  uint32_t i = 0;
  for (; i + 16 <= count; i += 16) {
    s0 = madd(load(a + i), load(b + i), s0);
    s1 = madd(load(a + i + 4), load(b + i + 4), s1);
    s2 = madd(load(a + i + 8), load(b + i + 8), s2);
    s3 = madd(load(a + i + 12), load(b + i + 12), s3);
  }
  for (; i + 4 <= count; i += 4) s0 = madd(load(a + i), load(b + i), s0);
  float sum = sumLanes(add(add(s0, s1), add(s2, s3)));
  for (; i < count; i++) sum += a[i] * b[i];
  return sum;
}

// out += p[0] v[0] + .. + p[3] v[3]
void addFour(float* out, const float* p, const float* const* v, uint32_t count) {
  f32x4 p0 = splat(p), p1 = splat(p + 1), p2 = splat(p + 2), p3 = splat(p + 3);
  uint32_t i = 0;
  for (; i + 4 <= count; i += 4) {
    f32x4 low = madd(p0, load(v[0] + i), madd(p1, load(v[1] + i), load(out + i)));
    store(out + i, madd(p2, load(v[2] + i), madd(p3, load(v[3] + i), low)));
  }
  for (; i < count; i++) out[i] += p[0] * v[0][i] + p[1] * v[1][i] + p[2] * v[2][i] + p[3] * v[3][i];
}

// The keys [first, first + keys) for one row whose output is y; keys past the end have weight 0.
void attendDirect(const PagedHead& head, const float* q, float* y, uint32_t first, uint32_t keys, float scale,
                  float& largest, float& sum) {
  alignas(16) float weights[kKeyBlock];
  float block = largest;
  for (uint32_t j = 0; j < keys; j++) {
    weights[j] = dot(q, head.key(first + j), head.headDim) * scale;
    // Written so that a NaN stays.
    if (!(weights[j] <= block)) block = weights[j];
  }
  for (uint32_t j = keys; j % 4; j++) weights[j] = -INFINITY;
  f32x4 top = splat(block), total = zero();
  for (uint32_t j = 0; j < keys; j += 4) {
    f32x4 p = exp(sub(load(weights + j), top));
    store(weights + j, p);
    total = add(total, p);
  }
  float fade = wasm_f32x4_extract_lane(exp(splat(largest - block)), 0);
  for (uint32_t d = 0; d < head.headDim; d++) y[d] *= fade;
  for (uint32_t j = 0; j < keys; j += 4) {
    const float* v[4];
    for (uint32_t i = 0; i < 4; i++) v[i] = head.value(first + (j + i < keys ? j + i : j));
    addFour(y, weights + j, v, head.headDim);
  }
  sum = sum * fade + sumLanes(total);
  largest = block;
}

// Rows share each block of keys while it is in the cache.
void attendFewRows(const QueryBlock& block, const PagedHead& head, float scale) {
  constexpr uint32_t kKeys = 32;
  float largest[kDirectRows], sums[kDirectRows];
  uint32_t keyCount = 0;
  for (uint32_t r = 0; r < block.rows; r++) {
    largest[r] = -FLT_MAX;
    sums[r] = 0;
    for (uint32_t d = 0; d < head.headDim; d++) block.y[r][d] = 0;
    keyCount = block.visible[r] > keyCount ? block.visible[r] : keyCount;
  }
  for (uint32_t first = 0; first < keyCount; first += kKeys) {
    for (uint32_t r = 0; r < block.rows; r++) {
      if (block.visible[r] <= first) continue;
      uint32_t left = block.visible[r] - first, keys = left < kKeys ? left : kKeys;
      attendDirect(head, block.q[r], block.y[r], first, keys, scale, largest[r], sums[r]);
    }
  }
  for (uint32_t r = 0; r < block.rows; r++) {
    for (uint32_t d = 0; d < head.headDim; d++) block.y[r][d] /= sums[r];
  }
}

void attendPart(const Call& call, uint32_t s, const Sequence& sequence, uint32_t kvHead, uint32_t first,
                const AttentionScratch& memory) {
  const Attrs& attrs = call.attrs<Attrs>();
  QueryBlock block;
  block.rows = sequence.rows - first < kQueryRows ? sequence.rows - first : kQueryRows;
  uint32_t firstPosition = sequence.context - sequence.rows / sequence.group;
  for (uint32_t r = 0; r < block.rows; r++) {
    uint32_t token = (first + r) / sequence.group, head = kvHead * sequence.group + (first + r) % sequence.group;
    block.q[r] = call.in[in_q].row(sequence.firstToken + token) + (size_t)head * attrs.headDim;
    block.y[r] = call.out[out_y].row(sequence.firstToken + token) + (size_t)head * attrs.headDim;
    block.visible[r] = firstPosition + token + 1;
  }
  PagedHead head = pagedHead(call, s, kvHead);
  if (block.rows <= kDirectRows) {
    attendFewRows(block, head, attrs.scale);
  } else {
    attend(
        block, attrs.headDim, attrs.scale, [&](uint32_t j) { return head.key(j); },
        [&](uint32_t j) { return head.value(j); }, memory);
  }
}

void run(const Call& call, uint32_t firstPart, uint32_t lastPart) {
  const Attrs& attrs = call.attrs<Attrs>();
  AttentionScratch memory(call.scratch, attrs.headDim);
  uint32_t part = 0;
  for (uint32_t s = 0; part < lastPart; s++) {
    Sequence sequence = sequenceOf(call, s);
    for (uint32_t local = 0; local < sequence.blocks * attrs.numKvHeads && part < lastPart; local++, part++) {
      if (part < firstPart) continue;
      attendPart(call, s, sequence, local / sequence.blocks, local % sequence.blocks * kQueryRows, memory);
    }
  }
}

}  // namespace

const Kernel kAttentionPaged = {work, run, scratch, check};

}  // namespace glimt
