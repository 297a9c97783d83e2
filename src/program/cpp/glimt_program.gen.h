// Generated from src/graph/ops.ts, src/program/encoding.ts and src/tensor/storage.ts by `npm run generate`. Do not edit.
#pragma once
#include <cstdint>

namespace glimt::program {

constexpr uint32_t kMagic = 0x504d4c47;
constexpr uint32_t kVersion = 3;
constexpr uint32_t kNoSymbol = 0xffffffff;

enum class DType : uint32_t {
  f32 = 0,
  bf16 = 1,
  f16 = 2,
  i32 = 3,
  q8 = 4,
  q4 = 5,
  q4_1 = 6,
  q5_0 = 7,
  q5_1 = 8,
  q4_k = 9,
  q5_k = 10,
  q6_k = 11,
  fp8 = 12,
};

// Bits of an element; groupBytes stand beside each groupRows x groupCols of them, groupCols 0 being the whole row.
struct Format {
  uint32_t bits, groupRows, groupCols, groupBytes;
};
constexpr Format kFormats[] = {
  {32, 0, 0, 0},  // f32
  {16, 0, 0, 0},  // bf16
  {16, 0, 0, 0},  // f16
  {32, 0, 0, 0},  // i32
  {8, 1, 32, 2},  // q8
  {4, 1, 32, 2},  // q4
  {4, 1, 32, 4},  // q4_1
  {5, 1, 32, 2},  // q5_0
  {5, 1, 32, 4},  // q5_1
  {4, 1, 256, 16},  // q4_k
  {5, 1, 256, 16},  // q5_k
  {6, 1, 256, 18},  // q6_k
  {8, 1, 128, 4},  // fp8
};
constexpr uint32_t kFormatCount = 13;

enum class Layout : uint32_t {
  plain = 0,
  tiles8 = 1,
  split = 2,
};

constexpr uint32_t kLayoutCount = 3;
// Rows of a tile, by layout.
constexpr uint32_t kLayoutTileRows[] = {1, 8, 1};

enum class BufferKind : uint32_t {
  weight = 0,
  state = 1,
  input = 2,
  output = 3,
  temporary = 4,
};

struct Header {
  uint32_t magic, version, words, stringBytes, name;
  uint32_t symbolCount, bufferCount, tensorCount, instructionCount, slotCount;
  DType activation;
};
static_assert(sizeof(Header) == 44);

struct Symbol {
  uint32_t name, nameLength;
};
static_assert(sizeof(Symbol) == 8);

// value = symbol * num / den + add; a constant has symbol kNoSymbol and is `add`.
struct Dim {
  uint32_t symbol, num, den;
  int32_t add;
};
static_assert(sizeof(Dim) == 16);

struct Buffer {
  BufferKind kind;
  Layout layout;
  DType dtype;
  int32_t slot;
  uint32_t name, nameLength;
  Dim rows, cols;
};
static_assert(sizeof(Buffer) == 56);

// rowStride is in elements; 0 means contiguous rows.
struct Tensor {
  uint32_t buffer, colOffset, rowStride;
  Dim rows, cols;
};
static_assert(sizeof(Tensor) == 44);

enum class Op : uint32_t {
  slice = 0,
  merge_rows = 1,
  linear = 2,
  add_bias = 3,
  linear_bias = 4,
  add = 5,
  rms_norm = 6,
  add_rms_norm = 7,
  rms_norm_add_rms_norm = 22,
  layer_norm = 8,
  rope = 9,
  kv_write = 10,
  attention_paged = 11,
  attention_weights = 33,
  rope_attention_paged = 23,
  attention_varlen = 12,
  swiglu = 13,
  linear_swiglu = 24,
  gelu = 14,
  embed = 15,
  gather_rows = 16,
  scatter_rows = 17,
  position_embed_bicubic = 18,
  route_experts = 19,
  experts = 20,
  adjust_logits = 25,
  sample = 21,
  accept_drafts = 31,
  follow_drafts = 32,
  all_reduce = 26,
  all_gather = 27,
  reduce_scatter = 28,
  send = 29,
  receive = 30,
};

// What ranks of a group do together.
inline bool isCollective(Op op) { return op == Op::all_reduce || op == Op::all_gather || op == Op::reduce_scatter || op == Op::send || op == Op::receive; }
// Followed by inputCount + outputCount tensor indices and attrCount words.
struct Instruction {
  Op op;
  uint32_t inputCount, outputCount, attrCount, scope, scopeLength;
};
static_assert(sizeof(Instruction) == 24);

// y = x wᵀ
namespace op_linear {
enum Input : uint32_t { in_x = 0, in_w = 1 };
enum Output : uint32_t { out_y = 0 };
}  // namespace op_linear

// y = x + bias, for each row
namespace op_add_bias {
enum Input : uint32_t { in_x = 0, in_bias = 1 };
enum Output : uint32_t { out_y = 0 };
}  // namespace op_add_bias

// y = x wᵀ + bias
namespace op_linear_bias {
enum Input : uint32_t { in_x = 0, in_w = 1, in_bias = 2 };
enum Output : uint32_t { out_y = 0 };
}  // namespace op_linear_bias

// y = a + b
namespace op_add {
enum Input : uint32_t { in_a = 0, in_b = 1 };
enum Output : uint32_t { out_y = 0 };
}  // namespace op_add

// y = x / sqrt(mean(x²) + eps) * w over each group of n columns (a row, or a head when n < k)
namespace op_rms_norm {
enum Input : uint32_t { in_x = 0, in_w = 1 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  float eps;
};
}  // namespace op_rms_norm

// sum = a + b; y = rms_norm(sum, w)
namespace op_add_rms_norm {
enum Input : uint32_t { in_a = 0, in_b = 1, in_w = 2 };
enum Output : uint32_t { out_sum = 0, out_y = 1 };
struct Attrs {
  float eps;
};
}  // namespace op_add_rms_norm

// sum = a + rms_norm(b, wb); y = rms_norm(sum, w)
namespace op_rms_norm_add_rms_norm {
enum Input : uint32_t { in_a = 0, in_b = 1, in_wb = 2, in_w = 3 };
enum Output : uint32_t { out_sum = 0, out_y = 1 };
struct Attrs {
  float eps;
};
}  // namespace op_rms_norm_add_rms_norm

// y = (x - mean(x)) / sqrt(var(x) + eps) * w + b, for each row
namespace op_layer_norm {
enum Input : uint32_t { in_x = 0, in_w = 1, in_b = 2 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  float eps;
};
}  // namespace op_layer_norm

// Rotates the first rotaryDim columns of each head by the row's table; the rest passes through. Pairs are (2i, 2i+1) or (i, i + rotaryDim/2): (a, b) -> (a cos - b sin, b cos + a sin).
namespace op_rope {
enum Input : uint32_t { in_x = 0, in_cos = 1, in_sin = 2 };
enum Output : uint32_t { out_y = 0 };
enum Pairs : uint32_t { pairs_interleaved = 0, pairs_half = 1 };
struct Attrs {
  uint32_t numHeads;
  uint32_t headDim;
  uint32_t rotaryDim;
  uint32_t pairs;
};
}  // namespace op_rope

// cache[slots[t] / pageSize, 0|1, head, slots[t] % pageSize, :] = k|v[t, head, :]. The cache is [pages, 2, numKvHeads, pageSize, headDim]; a slot of -1 is skipped.
namespace op_kv_write {
enum Input : uint32_t { in_k = 0, in_v = 1, in_slots = 2, in_cache = 3 };
enum Output : uint32_t { out_written = 0 };
struct Attrs {
  uint32_t numKvHeads;
  uint32_t headDim;
  uint32_t pageSize;
};
}  // namespace op_kv_write

// Causal grouped-query attention over a paged cache. Query rows cuSeqlens[s]..cuSeqlens[s+1] belong to sequence s; the last of them sits at position contextLens[s] - 1, and key p of s is in page blockTable[s, p / pageSize].
namespace op_attention_paged {
enum Input : uint32_t { in_q = 0, in_cache = 1, in_blockTable = 2, in_cuSeqlens = 3, in_contextLens = 4 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  uint32_t numHeads;
  uint32_t numKvHeads;
  uint32_t headDim;
  uint32_t pageSize;
  float scale;
};
}  // namespace op_attention_paged

// How much row i of q attends to each key: weights[i, p] = the mean over its heads, added in their order, of softmax(scale q kᵀ) at key p, one of the first lengths[i], in page blockTable[sequences[i], p / pageSize]; 0 at those behind. Keys are read as floats, whatever the cache holds them in.
namespace op_attention_weights {
enum Input : uint32_t { in_q = 0, in_cache = 1, in_blockTable = 2, in_sequences = 3, in_lengths = 4 };
enum Output : uint32_t { out_weights = 0 };
struct Attrs {
  uint32_t numHeads;
  uint32_t numKvHeads;
  uint32_t headDim;
  uint32_t pageSize;
  float scale;
};
}  // namespace op_attention_weights

// Rotates q and k, stores the rotated k and v in the cache, then attends: rope, kv_write and attention_paged.
namespace op_rope_attention_paged {
enum Input : uint32_t { in_q = 0, in_k = 1, in_v = 2, in_cos = 3, in_sin = 4, in_slots = 5, in_cache = 6, in_blockTable = 7, in_cuSeqlens = 8, in_contextLens = 9 };
enum Output : uint32_t { out_y = 0, out_written = 1 };
enum Pairs : uint32_t { pairs_interleaved = 0, pairs_half = 1 };
struct Attrs {
  uint32_t numHeads;
  uint32_t numKvHeads;
  uint32_t headDim;
  uint32_t rotaryDim;
  uint32_t pairs;
  uint32_t pageSize;
  float scale;
};
}  // namespace op_rope_attention_paged

// Full (not causal) attention inside each run of rows cuSeqlens[i]..cuSeqlens[i+1].
namespace op_attention_varlen {
enum Input : uint32_t { in_q = 0, in_k = 1, in_v = 2, in_cuSeqlens = 3 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  uint32_t numHeads;
  uint32_t headDim;
  float scale;
};
}  // namespace op_attention_varlen

// y = gate * sigmoid(gate) * up
namespace op_swiglu {
enum Input : uint32_t { in_gate = 0, in_up = 1 };
enum Output : uint32_t { out_y = 0 };
}  // namespace op_swiglu

// y = swiglu(x gᵀ, x uᵀ), where w is g over u, each of `width` rows
namespace op_linear_swiglu {
enum Input : uint32_t { in_x = 0, in_w = 1 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  uint32_t width;
};
}  // namespace op_linear_swiglu

// y = x/2 (1 + erf(x / sqrt 2))
namespace op_gelu {
enum Input : uint32_t { in_x = 0 };
enum Output : uint32_t { out_y = 0 };
}  // namespace op_gelu

// y[t] = table[ids[t] - first], or zeros where ids[t], one of 0..total-1, has no row in this table; and where it is -1, which `sample` gives where there is nothing to choose.
namespace op_embed {
enum Input : uint32_t { in_ids = 0, in_table = 1 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  uint32_t first;
  uint32_t total;
};
}  // namespace op_embed

// y[i] = x[rows[i]]
namespace op_gather_rows {
enum Input : uint32_t { in_x = 0, in_rows = 1 };
enum Output : uint32_t { out_y = 0 };
}  // namespace op_gather_rows

// x[rows[i]] = values[i], in place
namespace op_scatter_rows {
enum Input : uint32_t { in_x = 0, in_values = 1, in_rows = 2 };
enum Output : uint32_t { out_y = 0 };
}  // namespace op_scatter_rows

// y[p] = the side x side table sampled at coords[p] = (x, y) in table cells, cubic with a = -0.75, border clamped
namespace op_position_embed_bicubic {
enum Input : uint32_t { in_table = 0, in_coords = 1 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  uint32_t side;
};
}  // namespace op_position_embed_bicubic

// scores = sigmoid(logits); experts = the topK of scores + correction inside the topkGroups best of numGroups groups (a group counts the sum of its two best); weights = scores of those, normalised when asked, times scale.
namespace op_route_experts {
enum Input : uint32_t { in_logits = 0, in_correction = 1 };
enum Output : uint32_t { out_experts = 0, out_weights = 1 };
enum Normalise : uint32_t { normalise_no = 0, normalise_yes = 1 };
struct Attrs {
  uint32_t topK;
  uint32_t numGroups;
  uint32_t topkGroups;
  uint32_t normalise;
  float scale;
};
}  // namespace op_route_experts

// y[t] = sum over k of weights[t, k] * down[e] swiglu(gateUp[e] x[t]), e = experts[t, k] - firstExpert; expert e owns rows e*2*width.. of gateUp (gate first) and e*n.. of down. A choice, one of 0..totalExperts-1, that is none of these numExperts counts nothing.
namespace op_experts {
enum Input : uint32_t { in_x = 0, in_experts = 1, in_weights = 2, in_gateUp = 3, in_down = 4 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  uint32_t numExperts;
  uint32_t topK;
  uint32_t width;
  uint32_t firstExpert;
  uint32_t totalExperts;
};
}  // namespace op_experts

// adjusted[i] = logits[rows[i]] in f32, of which token ids[j] becomes (l > 0 ? l / factor : l * factor) + addend by changes[j] = (factor, addend), for j in cuIds[i]..cuIds[i+1]: of several j with one token the last counts, and -1 is none. Then, with maskOf[i] >= 0, tokens whose bit in masks[maskOf[i]] is 0 are -infinity: token t has bit t % 32 of word t / 32. Each operation rounds to f32.
namespace op_adjust_logits {
enum Input : uint32_t { in_logits = 0, in_rows = 1, in_ids = 2, in_changes = 3, in_cuIds = 4, in_masks = 5, in_maskOf = 6 };
enum Output : uint32_t { out_adjusted = 0 };
}  // namespace op_adjust_logits

// tokens[i] = the token chosen from logits[i], or where adjustedAs[i] >= 0 from adjusted[adjustedAs[i]], by settings[i] = (temperature, topP, minP) and choices[i] = (topK, the bits of a uniform u32): integers behind an exponential of fixed steps, so that every backend chooses the same one (backends/reference/sample.ts has the algorithm). -1 when the largest logit is not finite, one is NaN, or the settings keep none.
namespace op_sample {
enum Input : uint32_t { in_logits = 0, in_adjusted = 1, in_adjustedAs = 2, in_settings = 3, in_choices = 4 };
enum Output : uint32_t { out_tokens = 0 };
}  // namespace op_sample

// accepted[s] = the first i from firsts[s] on behind which nothing was guessed right: guesses[i] < 0, or guesses[i] other than tokens[i]; the last i there is where none is. rows[s] and choices[s] are entry accepted[s] of rowOf and choicesOf.
namespace op_accept_drafts {
enum Input : uint32_t { in_tokens = 0, in_guesses = 1, in_firsts = 2, in_rowOf = 3, in_choicesOf = 4 };
enum Output : uint32_t { out_accepted = 0, out_rows = 1, out_choices = 2 };
}  // namespace op_accept_drafts

// What reads draft of[i]: ids[i] = drafts[of[i]], and by accepted[i] = chosen[of[i]] that entry of slotOf, lengthOf, cosOf, sinOf and choicesOf.
namespace op_follow_drafts {
enum Input : uint32_t { in_of = 0, in_drafts = 1, in_chosen = 2, in_slotOf = 3, in_lengthOf = 4, in_cosOf = 5, in_sinOf = 6, in_choicesOf = 7 };
enum Output : uint32_t { out_ids = 0, out_accepted = 1, out_slots = 2, out_lengths = 3, out_cos = 4, out_sin = 5, out_choices = 6 };
}  // namespace op_follow_drafts

// y = the sum of x over all ranks: added in the ranks' order in f32, then rounded, to the same bits on each.
namespace op_all_reduce {
enum Input : uint32_t { in_x = 0 };
enum Output : uint32_t { out_y = 0 };
}  // namespace op_all_reduce

// The columns of all ranks side by side: with w = n / stretches, y[i, (s * ranks + r) * w + j] = column s * w + j of row i of rank r's x.
namespace op_all_gather {
enum Input : uint32_t { in_x = 0 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  uint32_t ranks;
  uint32_t stretches;
};
}  // namespace op_all_gather

// y = of the sum of x over all ranks, as all_reduce has it, the columns of this rank: the first of `ranks` equal parts for the first.
namespace op_reduce_scatter {
enum Input : uint32_t { in_x = 0 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  uint32_t ranks;
};
}  // namespace op_reduce_scatter

// Gives x to rank peer, whose next receive from this rank takes it.
namespace op_send {
enum Input : uint32_t { in_x = 0 };
enum Output : uint32_t {  };
struct Attrs {
  uint32_t peer;
};
}  // namespace op_send

// y = what rank peer sends: a row of cols columns for each of rows, whose values do not matter.
namespace op_receive {
enum Input : uint32_t { in_rows = 0 };
enum Output : uint32_t { out_y = 0 };
struct Attrs {
  uint32_t peer;
  uint32_t cols;
};
}  // namespace op_receive

}  // namespace glimt::program
