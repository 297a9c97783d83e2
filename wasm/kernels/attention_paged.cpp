// attention_paged: causal grouped-query attention over the paged cache [pages, 2, numKvHeads, pageSize, headDim].
// Query row t of sequence s, n rows long, sits at position contextLens[s] - n + t and sees the keys up to itself; key
// p is in page blockTable[s, p / pageSize].
//
// The numHeads / numKvHeads query heads of one key/value head are rows of the same block, token by token, so that
// a packed block of keys serves all of them. A sequence of few rows (decoding) reads the cache directly instead, page
// by page and within a page head by head, which is the order it lies in: the scores of a block of keys, their weights,
// and the sums of their values, in the order of attention.h.
//
// A part is up to 192 such rows of a sequence and head. Of a sequence that is read directly it is some of the heads:
// all, unless workers would be without work, since single heads of a long context are read at 4/5 of the speed.
#include <math.h>

#include "attention.h"
#include "elementwise.h"
#include "kernel.h"

namespace glimt {
namespace {

using namespace program::op_attention_paged;

// Rows of one key/value head up to which a sequence is read directly, and keys taken at a time.
constexpr uint32_t kDirectRows = 4;
constexpr uint32_t kDirectKeys = 32;

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
  uint32_t firstToken, rows, group, context, blocks, parts;
  bool direct;
  // Of a part, when it is read directly.
  uint32_t kvHeads;
};

Sequence sequenceOf(const Call& call, uint32_t s) {
  const Attrs& attrs = call.attrs<Attrs>();
  const int32_t* offsets = call.in[in_cuSeqlens].ints();
  uint32_t group = attrs.numHeads / attrs.numKvHeads, rows = (uint32_t)(offsets[s + 1] - offsets[s]) * group;
  uint32_t blocks = (rows + kQueryRows - 1) / kQueryRows;
  bool direct = rows <= kDirectRows;
  uint32_t sequences = call.in[in_contextLens].length(), shares = (call.workers + sequences - 1) / sequences;
  uint32_t kvHeads = (attrs.numKvHeads + shares - 1) / shares;
  uint32_t parts = direct ? (rows ? (attrs.numKvHeads + kvHeads - 1) / kvHeads : 0) : blocks * attrs.numKvHeads;
  uint32_t context = (uint32_t)call.in[in_contextLens].ints()[s];
  return {(uint32_t)offsets[s], rows, group, context, blocks, parts, direct, kvHeads};
}

Work work(const Call& call) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t parts = 0;
  double pairs = 0;
  for (uint32_t s = 0; s < call.in[in_contextLens].length(); s++) {
    Sequence sequence = sequenceOf(call, s);
    parts += sequence.parts;
    pairs += (double)sequence.rows * sequence.context;
  }
  return {parts, parts ? 4.0 * pairs * attrs.numKvHeads * attrs.headDim / parts : 0};
}

// A row of a sequence: its query and output, and the keys it sees.
struct Row {
  const float* q;
  float* y;
  uint32_t visible;
};

// A row that is read directly: its scaled query, what it has seen so far, and the scores or weights of a block of keys.
struct DirectRow {
  Row row;
  float *q, *sums, *weights;
  float reference, sum;
};

// Keys that are scored at a time; as many too much of `weights` are written.
constexpr uint32_t kScoredKeys = 16;

// Bytes of a row; queries and sums are padded to whole vectors.
uint64_t directBytes(uint32_t headDim) {
  uint64_t padded = (headDim + 3) / 4 * 4;
  return sizeof(DirectRow) + sizeof(float) * (2 * padded + kKeyBlock + kScoredKeys);
}

Workspace workspace(const Call& call) {
  uint32_t headDim = call.attrs<Attrs>().headDim;
  uint64_t direct = directBytes(headDim) * kDirectRows * call.attrs<Attrs>().numKvHeads;
  uint64_t blocked = AttentionScratch::bytes(headDim);
  return {0, direct > blocked ? direct : blocked};
}

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

Row rowOf(const Call& call, const Sequence& sequence, uint32_t kvHead, uint32_t index) {
  uint32_t token = index / sequence.group, head = kvHead * sequence.group + index % sequence.group;
  size_t column = (size_t)head * call.attrs<Attrs>().headDim;
  uint32_t position = sequence.context - sequence.rows / sequence.group + token;
  uint32_t row = sequence.firstToken + token;
  return {call.in[in_q].row(row) + column, call.out[out_y].row(row) + column, position + 1};
}

// Asks for all cache lines of `count` floats at once. A cache larger than L3 is read 2.5 times faster for it: the kernel
// itself is too long for the processor to look ahead past the start of the next 4 KiB.
void touchAll(const float* memory, uint32_t count) {
  for (uint32_t i = 0; i < count; i += 16) touch(memory + i);
}

// Calls f(d, get) for every four dimensions, where get(row) gives those of a row, zeros past its end.
template <class F>
void forFour(uint32_t headDim, F f) {
  uint32_t d = 0;
  for (; d + 4 <= headDim; d += 4) f(d, [=](const float* row) { return load(row + d); });
  if (d < headDim) f(d, [=](const float* row) { return loadPart(row + d, headDim - d); });
}

// The weights of R rows from `at` on receive their scores with keys [count, headDim].
template <uint32_t R>
void scoreKeys(const DirectRow* rows, uint32_t at, const float* keys, uint32_t count, uint32_t headDim) {
  for (uint32_t j = 0; j < count; j += kScoredKeys) {
    const float* k[kScoredKeys];
    // The first stands in for those past the end.
    for (uint32_t i = 0; i < kScoredKeys; i++) k[i] = keys + (size_t)(j + i < count ? j + i : j) * headDim;
    f32x4 s[R][4];
#pragma unroll
    for (uint32_t r = 0; r < R; r++) s[r][0] = s[r][1] = s[r][2] = s[r][3] = zero();
    forFour(headDim, [&](uint32_t d, auto get) {
#pragma unroll
      for (uint32_t g = 0; g < 4; g++) {
        f32x4 v[4] = {get(k[4 * g]), get(k[4 * g + 1]), get(k[4 * g + 2]), get(k[4 * g + 3])};
        transpose(v[0], v[1], v[2], v[3]);
#pragma unroll
        for (uint32_t r = 0; r < R; r++) {
#pragma unroll
          for (uint32_t i = 0; i < 4; i++) s[r][g] = madd(splat(rows[r].q + d + i), v[i], s[r][g]);
        }
      }
    });
#pragma unroll
    for (uint32_t r = 0; r < R; r++) {
#pragma unroll
      for (uint32_t g = 0; g < 4; g++) store(rows[r].weights + at + j + 4 * g, s[r][g]);
    }
  }
}

// The sums of R rows += their weights from `at` on times values [count, headDim].
template <uint32_t R>
void addValues(const DirectRow* rows, uint32_t at, const float* values, uint32_t count, uint32_t headDim) {
  for (uint32_t j = 0; j < count; j += 4) {
    const float* v[4];
    f32x4 p[R][4];
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
      bool there = j + i < count;
      v[i] = values + (size_t)(there ? j + i : j) * headDim;
#pragma unroll
      for (uint32_t r = 0; r < R; r++) p[r][i] = splat(there ? rows[r].weights[at + j + i] : 0.0f);
    }
    forFour(headDim, [&](uint32_t d, auto get) {
      f32x4 v0 = get(v[0]), v1 = get(v[1]), v2 = get(v[2]), v3 = get(v[3]);
#pragma unroll
      for (uint32_t r = 0; r < R; r++) {
        float* sums = rows[r].sums + d;
        store(sums, madd(p[r][3], v3, madd(p[r][2], v2, madd(p[r][1], v1, madd(p[r][0], v0, load(sums))))));
      }
    });
  }
}

// Two rows share what is read.
void scoreRows(const DirectRow* rows, uint32_t count, uint32_t at, const float* keys, uint32_t keyCount,
               uint32_t headDim) {
  for (uint32_t r = 0; r < count; r += 2) {
    (count - r > 1 ? scoreKeys<2> : scoreKeys<1>)(rows + r, at, keys, keyCount, headDim);
  }
}

void addRows(const DirectRow* rows, uint32_t count, uint32_t at, const float* values, uint32_t keyCount,
             uint32_t headDim) {
  for (uint32_t r = 0; r < count; r += 2) {
    (count - r > 1 ? addValues<2> : addValues<1>)(rows + r, at, values, keyCount, headDim);
  }
}

// Scores become weights relative to the reference, as in attention.cpp; the row sees `seen` of the `keys` of the block.
void weighKeys(DirectRow& row, uint32_t seen, uint32_t keys, uint32_t headDim) {
  float* weights = row.weights;
  for (uint32_t j = seen; j % 4; j++) weights[j] = -INFINITY;
  alignas(16) float lanes[4];
  f32x4 old = splat(row.reference), max = old;
  for (uint32_t j = 0; j < seen; j += 4) max = larger(max, load(weights + j));
  store(lanes, max);
  float top = lanes[0];
  for (uint32_t i = 1; i < 4; i++) top = top < lanes[i] ? lanes[i] : top;
  f32x4 now = nextReference(old, splat(top)), sum = zero();
  const Exp2 exp2;
  for (uint32_t j = 0; j < seen; j += 4) {
    f32x4 p = exp2(sub(load(weights + j), now));
    store(weights + j, p);
    if (j + 4 > seen) {
      for (uint32_t hidden = seen; hidden < j + 4; hidden++) weights[hidden] = 0;
      p = load(weights + j);
    }
    sum = add(sum, p);
  }
  for (uint32_t j = (seen + 3) / 4 * 4; j < keys; j++) weights[j] = 0;
  float fade = wasm_f32x4_extract_lane(exp2(sub(old, now)), 0);
  if (fade != 1) {
    for (uint32_t d = 0; d < headDim; d += 4) store(row.sums + d, mul(load(row.sums + d), splat(fade)));
  }
  store(lanes, sum);
  row.reference = wasm_f32x4_extract_lane(now, 0);
  row.sum = row.sum * fade + ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]));
}

// The rows of key/value heads firstHead .. lastHead - 1.
void attendDirect(const Call& call, uint32_t s, const Sequence& sequence, uint32_t firstHead, uint32_t lastHead,
                  uint8_t* own) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t headDim = attrs.headDim, padded = (headDim + 3) / 4 * 4, count = (lastHead - firstHead) * sequence.rows;
  DirectRow* rows = (DirectRow*)own;
  float* floats = (float*)(rows + count);
  for (uint32_t i = 0; i < count; i++, floats += 2 * padded + kKeyBlock + kScoredKeys) {
    Row row = rowOf(call, sequence, firstHead + i / sequence.rows, i % sequence.rows);
    rows[i] = {row, floats, floats + padded, floats + 2 * padded, kNoReference, 0};
    float scale = queryScale(attrs.scale);
    for (uint32_t d = 0; d < padded; d++) rows[i].q[d] = d < headDim ? row.q[d] * scale : 0, rows[i].sums[d] = 0;
  }
  // Calls f(rows of a head, where keys or values begin, place in the block, keys), page by page.
  auto forPieces = [&](uint32_t first, uint32_t keys, bool ofValues, auto f) {
    for (uint32_t at = 0, piece; at < keys; at += piece) {
      piece = attrs.pageSize - (first + at) % attrs.pageSize;
      piece = piece < kDirectKeys ? piece : kDirectKeys;
      piece = piece < keys - at ? piece : keys - at;
      for (uint32_t h = firstHead; h < lastHead; h++) {
        PagedHead head = pagedHead(call, s, h);
        const float* from = ofValues ? head.value(first + at) : head.key(first + at);
        touchAll(from, piece * headDim);
        f(rows + (h - firstHead) * sequence.rows, sequence.rows, at, from, piece, headDim);
      }
    }
  };
  for (uint32_t first = 0; first < sequence.context; first += kKeyBlock) {
    uint32_t keys = sequence.context - first < kKeyBlock ? sequence.context - first : kKeyBlock;
    forPieces(first, keys, false, scoreRows);
    for (uint32_t i = 0; i < count; i++) {
      uint32_t visible = rows[i].row.visible > first ? rows[i].row.visible - first : 0;
      weighKeys(rows[i], visible < keys ? visible : keys, keys, headDim);
    }
    forPieces(first, keys, true, addRows);
  }
  for (uint32_t i = 0; i < count; i++) {
    for (uint32_t d = 0; d < headDim; d++) rows[i].row.y[d] = rows[i].sums[d] / rows[i].sum;
  }
}

// Up to kQueryRows rows of one key/value head from row `first` on.
void attendBlock(const Call& call, uint32_t s, const Sequence& sequence, uint32_t kvHead, uint32_t first,
                 const AttentionScratch& memory) {
  const Attrs& attrs = call.attrs<Attrs>();
  QueryBlock block;
  block.rows = sequence.rows - first < kQueryRows ? sequence.rows - first : kQueryRows;
  for (uint32_t r = 0; r < block.rows; r++) {
    Row row = rowOf(call, sequence, kvHead, first + r);
    block.q[r] = row.q;
    block.y[r] = row.y;
    block.visible[r] = row.visible;
  }
  PagedHead head = pagedHead(call, s, kvHead);
  const float* rows[kKeyBlock];
  auto packedKeys = [&](uint32_t firstKey, uint32_t keys) -> const float* {
    for (uint32_t j = 0; j < keys; j++) rows[j] = head.key(firstKey + j);
    packKeys(rows, keys, attrs.headDim, memory.keys);
    return memory.keys;
  };
  auto packedValues = [&](uint32_t firstKey, uint32_t keys) -> const float* {
    for (uint32_t j = 0; j < keys; j++) rows[j] = head.value(firstKey + j);
    packValues(rows, keys, attrs.headDim, memory.values);
    return memory.values;
  };
  attend(block, attrs.headDim, attrs.scale, packedKeys, packedValues, memory);
}

void run(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  uint32_t part = 0, numKvHeads = call.attrs<Attrs>().numKvHeads;
  for (uint32_t s = 0; part < lastPart; s++) {
    Sequence sequence = sequenceOf(call, s);
    for (uint32_t local = 0; local < sequence.parts && part < lastPart; local++, part++) {
      if (part < firstPart) continue;
      if (sequence.direct) {
        uint32_t first = local * sequence.kvHeads, end = first + sequence.kvHeads;
        attendDirect(call, s, sequence, first, end < numKvHeads ? end : numKvHeads, own);
      } else {
        attendBlock(call, s, sequence, local / sequence.blocks, local % sequence.blocks * kQueryRows,
                    AttentionScratch(own, call.attrs<Attrs>().headDim));
      }
    }
  }
}

}  // namespace

const Kernel kAttentionPaged = {{{work, run}}, workspace, check};

}  // namespace glimt
