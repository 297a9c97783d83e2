// attention_varlen: full attention inside each run of rows cuSeqlens[i] .. cuSeqlens[i+1].
// q, k, v, y [m, numHeads * headDim]. A part is one head of up to 192 query rows of one run.
#include "attention.h"
#include "kernel.h"

namespace glimt {
namespace {

using namespace program::op_attention_varlen;

uint32_t blocksOf(uint32_t rows) { return (rows + kQueryRows - 1) / kQueryRows; }

Work work(const Call& call) {
  const Attrs& attrs = call.attrs<Attrs>();
  const int32_t* offsets = call.in[in_cuSeqlens].ints();
  uint32_t bounds = call.in[in_cuSeqlens].length(), parts = 0;
  double pairs = 0;
  // No run at all may have no bounds either.
  for (uint32_t i = 0; i + 1 < bounds; i++) {
    uint32_t rows = offsets[i + 1] - offsets[i];
    parts += blocksOf(rows) * attrs.numHeads;
    pairs += (double)rows * rows;
  }
  return {parts, parts ? 4.0 * pairs * attrs.numHeads * attrs.headDim / parts : 0};
}

Workspace workspace(const Call& call) { return {0, AttentionScratch::bytes(call.attrs<Attrs>().headDim)}; }

bool check(const Call& call, BadIndex& bad) {
  const Operand& offsets = call.in[in_cuSeqlens];
  return offsetsRise(in_cuSeqlens, offsets.ints(), offsets.length(), call.in[in_q].rows, bad);
}

// Rows [first, end) of one run against all its keys, for one head.
void attendPart(const Call& call, uint32_t head, uint32_t runStart, uint32_t runRows, uint32_t first,
                const AttentionScratch& memory) {
  const Attrs& attrs = call.attrs<Attrs>();
  const Operand &k = call.in[in_k], &v = call.in[in_v];
  size_t column = (size_t)head * attrs.headDim;
  QueryBlock block;
  block.rows = runRows - first < kQueryRows ? runRows - first : kQueryRows;
  for (uint32_t r = 0; r < block.rows; r++) {
    block.q[r] = call.in[in_q].row(runStart + first + r) + column;
    block.y[r] = call.out[out_y].row(runStart + first + r) + column;
    block.visible[r] = runRows;
  }
  attend(
      block, attrs.headDim, attrs.scale, [&](uint32_t j) { return k.row(runStart + j) + column; },
      [&](uint32_t j) { return v.row(runStart + j) + column; }, memory);
}

void run(const Call& call, uint32_t firstPart, uint32_t lastPart, uint8_t* own) {
  const Attrs& attrs = call.attrs<Attrs>();
  const int32_t* offsets = call.in[in_cuSeqlens].ints();
  AttentionScratch memory(own, attrs.headDim);
  uint32_t part = 0;
  for (uint32_t i = 0; part < lastPart; i++) {
    uint32_t rows = offsets[i + 1] - offsets[i], blocks = blocksOf(rows);
    for (uint32_t local = 0; local < blocks * attrs.numHeads && part < lastPart; local++, part++) {
      if (part < firstPart) continue;
      attendPart(call, local / blocks, offsets[i], rows, local % blocks * kQueryRows, memory);
    }
  }
}

}  // namespace

const Kernel kAttentionVarlen = {{{work, run}}, workspace, check};

}  // namespace glimt
