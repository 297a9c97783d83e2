// attention_paged: causal grouped-query attention over the paged cache [pages, 2, numKvHeads, pageSize, headDim].
// Query row t of sequence s, n rows long, sits at position contextLens[s] - n + t and sees the keys up to itself; key
// p is in page blockTable[s, p / pageSize].
//
// The numHeads / numKvHeads query heads of one key/value head are rows that read the same keys, token by token, block
// after block (paged_block.h, and of many rows paged_tiles.h). A part is up to 192 such rows of a sequence and head. Of a sequence of few rows (decoding)
// it is several heads, which lie behind one another in a page: all, unless workers would be without work.
#include "kernel.h"
#include "paged_block.h"
#include "paged_tiles.h"

namespace glimt {
namespace {

using namespace program::op_attention_paged;

// Rows of one key/value head up to which a part has several heads, and that it has at most.
constexpr uint32_t kFewRows = 4, kMostRows = kQueryRows;
// Rows of a part from which on keys and values are packed for tiles: it pays for reading them once more.
constexpr uint32_t kTiledRows = 16;

struct Sequence {
  // Query rows are row * group + head inside the group.
  uint32_t firstToken, rows, group, context;
  // Key/value heads of a part, parts for the rows of as many, and parts in all.
  uint32_t kvHeads, blocks, parts;
};

Sequence sequenceOf(const Call& call, uint32_t s) {
  const Attrs& attrs = call.attrs<Attrs>();
  const int32_t* offsets = call.in[in_cuSeqlens].ints();
  uint32_t group = attrs.numHeads / attrs.numKvHeads, rows = (uint32_t)(offsets[s + 1] - offsets[s]) * group;
  uint32_t blocks = (rows + kMostRows - 1) / kMostRows;
  uint32_t sequences = call.in[in_contextLens].length(), shares = (call.workers + sequences - 1) / sequences;
  uint32_t kvHeads = rows <= kFewRows ? (attrs.numKvHeads + shares - 1) / shares : 1;
  uint32_t parts = blocks * ((attrs.numKvHeads + kvHeads - 1) / kvHeads);
  uint32_t context = (uint32_t)call.in[in_contextLens].ints()[s];
  return {(uint32_t)offsets[s], rows, group, context, kvHeads, blocks, parts};
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

Workspace workspace(const Call& call) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint64_t few = (uint64_t)kFewRows * attrs.numKvHeads, rows = few > kMostRows ? few : kMostRows;
  uint64_t ofRows = rows * (sizeof(PagedRow) + sizeof(float) * (2 * (uint64_t)padded(attrs.headDim) + kBlockKeys));
  uint64_t ofTiles = AttentionScratch::bytes(attrs.headDim), widened = sizeof(float) * kBlockKeys * (uint64_t)attrs.headDim;
  return {0, (ofRows > ofTiles ? ofRows : ofTiles) + widened};
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

// A query row, where its output goes, and the keys it sees.
struct Row {
  const float* q;
  float* y;
  uint32_t visible;
};

Row rowOf(const Call& call, const Sequence& sequence, uint32_t kvHead, uint32_t index) {
  uint32_t token = index / sequence.group, head = kvHead * sequence.group + index % sequence.group;
  size_t column = (size_t)head * call.attrs<Attrs>().headDim;
  uint32_t position = sequence.context - sequence.rows / sequence.group + token, row = sequence.firstToken + token;
  return {call.in[in_q].row(row) + column, call.out[out_y].row(row) + column, position + 1};
}

// Of few; `floats` are its own.
PagedRow pagedRow(const Row& row, const Attrs& attrs, float* floats) {
  uint32_t dims = padded(attrs.headDim);
  float scale = queryScale(attrs.scale);
  for (uint32_t d = 0; d < dims; d++) floats[d] = d < attrs.headDim ? row.q[d] * scale : 0, floats[dims + d] = 0;
  return {floats, floats + dims, floats + 2 * dims, row.y, row.visible};
}

// Where the keys and values of a sequence are.
struct CachePlaces {
  const uint8_t* data;
  const int32_t* pages;
  uint32_t pageSize;
  // Of a row, the rows of a head in a page, keys in a page, and a page.
  size_t rowBytes, headBytes, valueOffset, pageBytes;

  CachePlaces(const Call& call, uint32_t s, const BlockSteps& stored) {
    const Attrs& attrs = call.attrs<Attrs>();
    data = call.in[in_cache].data;
    pages = call.in[in_blockTable].ints() + (size_t)s * call.in[in_blockTable].stride;
    pageSize = attrs.pageSize;
    rowBytes = stored.rowBytes(attrs.headDim);
    headBytes = rowBytes * pageSize;
    valueOffset = attrs.numKvHeads * headBytes;
    pageBytes = 2 * valueOffset;
  }

  // Of head 0, the block that begins with key `block`, of which keys from `end` on are absent.
  BlockRows rows(uint32_t block, uint32_t end) const {
    BlockRows found;
    found.keys = end - block < kBlockKeys ? end - block : kBlockKeys;
    found.toValues = valueOffset;
    uint32_t page = block / pageSize, row = block % pageSize;
    for (uint32_t i = 0; i < found.keys; i++) {
      found.at[i] = data + (size_t)pages[page] * pageBytes + row * rowBytes;
      if (++row == pageSize) page++, row = 0;
    }
    for (uint32_t i = found.keys; i < kBlockKeys; i++) found.at[i] = found.at[0];
    return found;
  }

  // Asks for the beginnings of all runs of a block, heads firstHead .. lastHead - 1. Each lies in a page of the host's memory of its
  // own, which a core takes long to find and can look for several at a time.
  void touchRuns(const BlockRows& rows, uint32_t firstHead, uint32_t lastHead) const {
    for (uint32_t head = firstHead; head < lastHead; head++) {
      for (uint32_t key = 0; key < kBlockKeys; key += kRunKeys) {
        const uint8_t* run = rows.at[key] + head * headBytes;
        touch(run), touch(run + valueOffset);
      }
    }
  }
};

const BlockSteps& storedSteps(const Call& call) {
  switch (call.in[in_cache].dtype) {
    case DType::bf16: return kBf16Steps;
    case DType::q8: return kQ8Steps;
    default: return kF32Steps;
  }
}

// Rows first .. last - 1 of a head, many of them.
void attendTiled(const Call& call, uint32_t s, const Sequence& sequence, uint32_t kvHead, uint32_t first, uint32_t last,
                 uint8_t* own) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t headDim = attrs.headDim;
  QueryBlock block;
  block.rows = last - first;
  for (uint32_t r = 0; r < block.rows; r++) {
    Row row = rowOf(call, sequence, kvHead, first + r);
    block.q[r] = row.q, block.y[r] = row.y, block.visible[r] = row.visible;
  }
  AttentionScratch scratch(own, headDim);
  float* near = (float*)(own + AttentionScratch::bytes(headDim));
  const BlockSteps& stored = storedSteps(call);
  CachePlaces cache(call, s, stored);
  uint32_t keyCount = startAttention(block, headDim, attrs.scale, scratch);
  sortQueries(block, headDim, scratch);
  // Packs what is at `offset`, widened where it is not f32.
  auto pack = [&](const BlockRows& rows, size_t offset, auto packRows) {
    if (!stored.isNarrow) return packRows(rows, offset, headDim, scratch);
    BlockRows widened = rows;
    widenBlock(stored, widened, offset, headDim, near);
    packRows(widened, 0, headDim, scratch);
  };
  // Of the block from `firstKey` on.
  auto packValues = [&](const BlockRows& rows, size_t offset, uint32_t firstKey) {
    BlockRows values = rows;
    auto give = [&](uint32_t key, uint32_t d, float value) {
      giveValue(block, firstKey + key, d, value, headDim, scratch);
    };
    bool isApart = setApart(stored, values, offset, seenByAll(block, firstKey), headDim, near, give);
    if (isApart) packSlotValues(values, 0, headDim, scratch);
    else pack(rows, offset, packSlotValues);
  };
  for (uint32_t firstKey = 0; firstKey < keyCount; firstKey += kBlockKeys) {
    BlockRows rows = cache.rows(firstKey, keyCount);
    pack(rows, kvHead * cache.headBytes, packSlotKeys);
    packValues(rows, kvHead * cache.headBytes + cache.valueOffset, firstKey);
    attendSlots(block, firstKey, rows.keys, headDim, scratch);
  }
  writeOutputs(block, headDim, scratch);
}

// Rows first .. last - 1 of each of the heads firstHead .. lastHead - 1.
void attend(const Call& call, uint32_t s, const Sequence& sequence, uint32_t firstHead, uint32_t lastHead, uint32_t first,
            uint32_t last, uint8_t* own) {
  const Attrs& attrs = call.attrs<Attrs>();
  // Rows that many pairs of queries read are widened once.
  const BlockSteps& stored = storedSteps(call);
  bool isWidened = stored.isNarrow && last - first > 2;
  auto stepsOf = [&](bool isNear) -> const BlockSteps& { return isNear ? kF32Steps : stored; };
  uint32_t headDim = attrs.headDim, count = last - first, heads = lastHead - firstHead, keyCount = 0;
  PagedRow* rows = (PagedRow*)own;
  float* floats = (float*)(rows + count * heads);
  for (uint32_t i = 0; i < count * heads; i++, floats += 2 * padded(headDim) + kBlockKeys) {
    rows[i] = pagedRow(rowOf(call, sequence, firstHead + i / count, first + i % count), attrs, floats);
    if (stored.begin) stored.begin(rows[i], headDim);
    keyCount = rows[i].visible > keyCount ? rows[i].visible : keyCount;
  }
  CachePlaces cache(call, s, stored);
  for (uint32_t block = 0; block < keyCount; block += kBlockKeys) {
    BlockRows keys = cache.rows(block, keyCount);
    cache.touchRuns(keys, firstHead, lastHead);
    // Rows come in the order of their positions: those that see nothing of the block are the first ones.
    uint32_t blind = 0;
    while (rows[blind].visible <= block) blind++;
    uint32_t seeing = count - blind, seenByAll = rows[blind].visible - block;
    for (uint32_t h = 0; h < heads; h++) {
      BlockRows near = keys;
      size_t at = (firstHead + h) * cache.headBytes;
      if (isWidened) widenBlock(stored, near, at, headDim, floats);
      stepsOf(isWidened).score(rows + h * count + blind, seeing, near, isWidened ? 0 : at, headDim);
    }
    for (uint32_t i = 0; i < count * heads; i++) {
      if (rows[i].visible <= block) continue;
      uint32_t seen = rows[i].visible - block;
      stored.weigh(rows[i], seen < keys.keys ? seen : keys.keys, headDim);
    }
    for (uint32_t h = 0; h < heads; h++) {
      PagedRow* some = rows + h * count + blind;
      BlockRows near = keys;
      size_t at = cache.valueOffset + (firstHead + h) * cache.headBytes;
      bool isApart = setApart(stored, near, at, seenByAll, headDim, floats, [&](uint32_t key, uint32_t d, float value) {
        for (uint32_t r = 0; r < seeing; r++) {
          if (some[r].visible > block + key) some[r].sums[d] += value;
        }
      });
      if (isWidened && !isApart) widenBlock(stored, near, at, headDim, floats);
      bool isNear = isWidened || isApart;
      stepsOf(isNear).addValues(some, seeing, near, isNear ? 0 : at, headDim);
    }
  }
  for (uint32_t i = 0; i < count * heads; i++) {
    float whole = wasm_f32x4_extract_lane(wholeOf(splat(rows[i].sum), splat(rows[i].reference)), 0);
    for (uint32_t d = 0; d < headDim; d++) rows[i].y[d] = rows[i].sums[d] / whole;
  }
}

void run(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  uint32_t part = 0, numKvHeads = call.attrs<Attrs>().numKvHeads;
  for (uint32_t s = 0; part < lastPart; s++) {
    Sequence sequence = sequenceOf(call, s);
    for (uint32_t local = 0; local < sequence.parts && part < lastPart; local++, part++) {
      if (part < firstPart) continue;
      uint32_t head = local / sequence.blocks * sequence.kvHeads, lastHead = head + sequence.kvHeads;
      uint32_t row = local % sequence.blocks * kMostRows, lastRow = row + kMostRows;
      if (lastHead > numKvHeads) lastHead = numKvHeads;
      if (lastRow > sequence.rows) lastRow = sequence.rows;
      // Tiles are of f32.
      bool isTiled = lastRow - row >= kTiledRows && !storedSteps(call).begin;
      if (isTiled) attendTiled(call, s, sequence, head, row, lastRow, own);
      else attend(call, s, sequence, head, lastHead, row, lastRow, own);
    }
  }
}

}  // namespace

const Kernel kAttentionPaged = {{{work, run}}, workspace, check};

}  // namespace glimt
