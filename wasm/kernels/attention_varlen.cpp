// attention_varlen: full attention inside each run of rows cuSeqlens[i] .. cuSeqlens[i+1].
// q, k, v, y [m, numHeads * headDim]. First keys and values are packed, a block of keys of a run and all its heads a part;
// then a part is one head of up to 192 query rows of one run.
#include "attention.h"
#include "kernel.h"

namespace glimt {
namespace {

using namespace program::op_attention_varlen;

uint32_t blocksOf(uint32_t rows) { return (rows + kQueryRows - 1) / kQueryRows; }

uint32_t keyBlocksOf(uint32_t rows) { return (rows + kKeyBlock - 1) / kKeyBlock; }

// Calls f(start, rows) for each run.
template <class F>
void forRuns(const Call& call, F f) {
  const Operand& offsets = call.in[in_cuSeqlens];
  // No run at all may have no bounds either.
  for (uint32_t i = 0; i + 1 < offsets.length(); i++) {
    uint32_t start = offsets.ints()[i];
    f(start, offsets.ints()[i + 1] - start);
  }
}

uint32_t keyBlocks(const Call& call) {
  uint32_t count = 0;
  forRuns(call, [&](uint32_t, uint32_t rows) { count += keyBlocksOf(rows); });
  return count;
}

// The keys and then the values of a block of keys and a head; `index` counts the blocks of all runs.
struct PackedBlock {
  uint32_t index, firstRow, keys;

  float* ofHead(const Call& call, uint32_t head) const {
    const Attrs& attrs = call.attrs<Attrs>();
    size_t before = 2 * (size_t)firstRow * attrs.headDim + (size_t)index * kPanelSlack;
    return (float*)call.shared + before * attrs.numHeads + head * (2 * (size_t)keys * attrs.headDim + kPanelSlack);
  }
};

Workspace workspace(const Call& call) {
  const Attrs& attrs = call.attrs<Attrs>();
  // The most there can be: bounds are not known yet.
  uint64_t rows = call.in[in_k].rows, blocks = rows / kKeyBlock + call.in[in_cuSeqlens].length();
  uint64_t floats = attrs.numHeads * (2 * rows * attrs.headDim + blocks * kPanelSlack);
  return {sizeof(float) * floats, AttentionScratch::bytes(attrs.headDim)};
}

bool check(const Call& call, BadIndex& bad) {
  const Operand& offsets = call.in[in_cuSeqlens];
  return offsetsRise(in_cuSeqlens, offsets.ints(), offsets.length(), call.in[in_q].rows, bad);
}

Work packingWork(const Call& call) {
  return {keyBlocks(call), 4.0 * kKeyBlock * call.in[in_k].cols};
}

void pack(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t*) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t index = 0;
  forRuns(call, [&](uint32_t start, uint32_t runRows) {
    for (uint32_t first = 0; first < runRows; first += kKeyBlock, index++) {
      if (index < firstPart || index >= lastPart) continue;
      PackedBlock block = {index, start + first, runRows - first < kKeyBlock ? runRows - first : kKeyBlock};
      for (uint32_t head = 0; head < attrs.numHeads; head++) {
        size_t column = (size_t)head * attrs.headDim;
        float* packed = block.ofHead(call, head);
        const float* rows[kKeyBlock];
        for (uint32_t j = 0; j < block.keys; j++) rows[j] = call.in[in_k].row(block.firstRow + j) + column;
        packKeys(rows, block.keys, attrs.headDim, packed);
        for (uint32_t j = 0; j < block.keys; j++) rows[j] = call.in[in_v].row(block.firstRow + j) + column;
        packValues(rows, block.keys, attrs.headDim, packed + (size_t)block.keys * attrs.headDim);
      }
    }
  });
}

Work work(const Call& call) {
  const Attrs& attrs = call.attrs<Attrs>();
  uint32_t parts = 0;
  double pairs = 0;
  forRuns(call, [&](uint32_t, uint32_t rows) {
    parts += blocksOf(rows) * attrs.numHeads;
    pairs += (double)rows * rows;
  });
  return {parts, parts ? 4.0 * pairs * attrs.numHeads * attrs.headDim / parts : 0};
}

// A run of rows, whose blocks of keys are counted from `firstBlock` on.
struct Run {
  uint32_t start, rows, firstBlock;
};

// Rows of one run from `first` on against all its keys, for one head.
void attendPart(const Call& call, uint32_t head, const Run& run, uint32_t first, const AttentionScratch& memory) {
  const Attrs& attrs = call.attrs<Attrs>();
  size_t column = (size_t)head * attrs.headDim;
  QueryBlock block;
  block.rows = run.rows - first < kQueryRows ? run.rows - first : kQueryRows;
  for (uint32_t r = 0; r < block.rows; r++) {
    block.q[r] = call.in[in_q].row(run.start + first + r) + column;
    block.y[r] = call.out[out_y].row(run.start + first + r) + column;
    block.visible[r] = run.rows;
  }
  auto packed = [&](uint32_t firstKey, uint32_t keys) -> const float* {
    return PackedBlock{run.firstBlock + firstKey / kKeyBlock, run.start + firstKey, keys}.ofHead(call, head);
  };
  auto packedValues = [&](uint32_t firstKey, uint32_t keys) {
    return packed(firstKey, keys) + (size_t)keys * attrs.headDim;
  };
  attend(block, attrs.headDim, attrs.scale, packed, packedValues, memory);
}

void run(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  const Attrs& attrs = call.attrs<Attrs>();
  AttentionScratch memory(own, attrs.headDim);
  uint32_t part = 0, firstBlock = 0;
  forRuns(call, [&](uint32_t start, uint32_t rows) {
    uint32_t blocks = blocksOf(rows), end = part + blocks * attrs.numHeads;
    uint32_t from = part > firstPart ? part : firstPart, to = end < lastPart ? end : lastPart;
    for (uint32_t p = from; p < to; p++) {
      attendPart(call, (p - part) / blocks, {start, rows, firstBlock}, (p - part) % blocks * kQueryRows, memory);
    }
    part = end;
    firstBlock += keyBlocksOf(rows);
  });
}

}  // namespace

const Kernel kAttentionVarlen = {{{packingWork, pack}, {work, run}}, workspace, check};

}  // namespace glimt
