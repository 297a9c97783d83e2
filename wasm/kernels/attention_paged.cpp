// attention_paged: causal grouped-query attention over the paged cache [pages, 2, numKvHeads, pageSize, headDim].
// Query row t of sequence s, n rows long, sits at position contextLens[s] - n + t and sees the keys up to itself; key
// p is in page blockTable[s, p / pageSize].
//
// The numHeads / numKvHeads query heads of one key/value head are rows of the same block, token by token, so that
// a packed block of keys serves all of them. A sequence of few rows (decoding) reads the cache directly instead, page
// by page and within a page head by head, which is the order it lies in: for every key s = scale q·k, the running
// maximum and sum as in attention.h, O += p v for four keys at a time.
//
// A part is up to 128 such rows of a sequence and head. Of a sequence that is read directly it is some of the heads:
// all, unless workers would be without work, since single heads of a long context are read at 4/5 of the speed.
#include <float.h>
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

// What a row read directly has seen so far.
struct Running {
  float largest, sum;
};

Workspace workspace(const Call& call) {
  uint64_t running = (uint64_t)sizeof(Running) * kDirectRows * call.attrs<Attrs>().numKvHeads;
  uint64_t blocked = AttentionScratch::bytes(call.attrs<Attrs>().headDim);
  return {0, running > blocked ? running : blocked};
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

// The products of a with four rows.
f32x4 dotFour(const float* a, const float* const* rows, uint32_t count) {
  f32x4 s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero(), t0 = zero(), t1 = zero(), t2 = zero(), t3 = zero();
  uint32_t i = 0;
  for (; i + 8 <= count; i += 8) {
    f32x4 low = load(a + i), high = load(a + i + 4);
    s0 = madd(low, load(rows[0] + i), s0), t0 = madd(high, load(rows[0] + i + 4), t0);
    s1 = madd(low, load(rows[1] + i), s1), t1 = madd(high, load(rows[1] + i + 4), t1);
    s2 = madd(low, load(rows[2] + i), s2), t2 = madd(high, load(rows[2] + i + 4), t2);
    s3 = madd(low, load(rows[3] + i), s3), t3 = madd(high, load(rows[3] + i + 4), t3);
  }
  s0 = add(s0, t0), s1 = add(s1, t1), s2 = add(s2, t2), s3 = add(s3, t3);
  transpose(s0, s1, s2, s3);
  f32x4 sums = add(add(s0, s1), add(s2, s3));
  for (; i < count; i++) {
    f32x4 column = wasm_f32x4_make(rows[0][i], rows[1][i], rows[2][i], rows[3][i]);
    sums = madd(splat(a + i), column, sums);
  }
  return sums;
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

// Rows j .. j + 3 of [count, headDim]; the first of them stands in for those past the end.
struct Four {
  const float* rows[4];

  Four(const float* base, uint32_t j, uint32_t count, uint32_t headDim) {
    for (uint32_t i = 0; i < 4; i++) rows[i] = base + (size_t)(j + i < count ? j + i : j) * headDim;
  }
};

// One row against `count` (at most kDirectKeys) consecutive keys and their values, [count, headDim] each.
void attendKeys(const float* q, float* y, const float* keys, const float* values, uint32_t count, uint32_t headDim,
                float scale, Running& running) {
  alignas(16) float weights[kDirectKeys];
  for (uint32_t j = 0; j < count; j += 4) {
    store(weights + j, mul(dotFour(q, Four(keys, j, count, headDim).rows, headDim), splat(scale)));
  }
  float top = running.largest;
  for (uint32_t j = 0; j < count; j++) {
    // Written so that a NaN stays.
    if (!(weights[j] <= top)) top = weights[j];
  }
  // Places past the end have weight 0.
  for (uint32_t j = count; j % 4; j++) weights[j] = -INFINITY;
  f32x4 total = zero();
  for (uint32_t j = 0; j < count; j += 4) {
    f32x4 p = exp(sub(load(weights + j), splat(top)));
    store(weights + j, p);
    total = add(total, p);
  }
  f32x4 fade = exp(splat(running.largest - top));
  mapRow(y, y, y, headDim, [=](f32x4 value, f32x4) { return mul(value, fade); });
  for (uint32_t j = 0; j < count; j += 4) {
    addFour(y, weights + j, Four(values, j, count, headDim).rows, headDim);
  }
  running = {top, running.sum * wasm_f32x4_extract_lane(fade, 0) + sumLanes(total)};
}

// A row of a sequence: its query and output, and the keys it sees.
struct Row {
  const float* q;
  float* y;
  uint32_t visible;
};

Row rowOf(const Call& call, const Sequence& sequence, uint32_t kvHead, uint32_t index) {
  uint32_t token = index / sequence.group, head = kvHead * sequence.group + index % sequence.group;
  size_t column = (size_t)head * call.attrs<Attrs>().headDim;
  uint32_t position = sequence.context - sequence.rows / sequence.group + token;
  uint32_t row = sequence.firstToken + token;
  return {call.in[in_q].row(row) + column, call.out[out_y].row(row) + column, position + 1};
}

// Asks for all cache lines of `count` floats at once. A cache larger than L3 is read 2.5 times faster for it: the kernel
// itself is too long for the processor to look ahead past the start of the next 4 KiB.
void touch(const float* memory, uint32_t count) {
  for (uint32_t i = 0; i < count; i += 16) (void)*(const volatile float*)(memory + i);
}

// The rows of key/value heads firstHead .. lastHead - 1; `running` is indexed by head and row.
void attendDirect(const Call& call, uint32_t s, const Sequence& sequence, uint32_t firstHead, uint32_t lastHead,
                  Running* running) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t firstRow = firstHead * sequence.rows, lastRow = lastHead * sequence.rows, headDim = attrs.headDim;
  for (uint32_t i = firstRow; i < lastRow; i++) {
    running[i] = {-FLT_MAX, 0};
    __builtin_memset(rowOf(call, sequence, i / sequence.rows, i % sequence.rows).y, 0, headDim * sizeof(float));
  }
  for (uint32_t first = 0; first < sequence.context;) {
    uint32_t toPageEnd = attrs.pageSize - first % attrs.pageSize;
    uint32_t keys = toPageEnd < kDirectKeys ? toPageEnd : kDirectKeys;
    for (uint32_t i = firstRow; i < lastRow; i++) {
      Row row = rowOf(call, sequence, i / sequence.rows, i % sequence.rows);
      if (row.visible <= first) continue;
      PagedHead head = pagedHead(call, s, i / sequence.rows);
      uint32_t count = row.visible - first < keys ? row.visible - first : keys;
      if (i % sequence.rows == 0) {
        touch(head.key(first), count * headDim);
        touch(head.value(first), count * headDim);
      }
      attendKeys(row.q, row.y, head.key(first), head.value(first), count, headDim, attrs.scale, running[i]);
    }
    first += keys;
  }
  for (uint32_t i = firstRow; i < lastRow; i++) {
    float* y = rowOf(call, sequence, i / sequence.rows, i % sequence.rows).y;
    for (uint32_t d = 0; d < headDim; d++) y[d] /= running[i].sum;
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
  attend(
      block, attrs.headDim, attrs.scale, [&](uint32_t j) { return head.key(j); },
      [&](uint32_t j) { return head.value(j); }, memory);
}

void run(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  uint32_t part = 0, numKvHeads = call.attrs<Attrs>().numKvHeads;
  for (uint32_t s = 0; part < lastPart; s++) {
    Sequence sequence = sequenceOf(call, s);
    for (uint32_t local = 0; local < sequence.parts && part < lastPart; local++, part++) {
      if (part < firstPart) continue;
      if (sequence.direct) {
        uint32_t first = local * sequence.kvHeads, end = first + sequence.kvHeads;
        attendDirect(call, s, sequence, first, end < numKvHeads ? end : numKvHeads, (Running*)own);
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
