/**
 * The op table: every operation a program may contain, written down once. The builder's methods, shape inference,
 * verification, the program encoding, the C++ headers, the tables of native kernels and the rows of the capability matrix
 * derive from it; the type checker names an op without conformance cases. Shapes are patterns: letters are dimensions
 * unified across operands, names are attributes. Activations are matrices [rows, columns]; heads are column groups
 * described by attributes.
 */
import { defineOp } from "./op-definition.ts";

export const OPS = {
  // Views: no instruction is emitted; the operand of the consumer becomes (buffer, column offset, row stride).
  slice: defineOp({
    code: 0,
    doc: "Columns [start, start + length) of x.",
    inputs: { x: { kind: "activation", shape: "m k" } },
    attrs: { start: "u32", length: "u32" },
    outputs: { y: { like: "x", shape: "m length" } },
    rowwise: ["x"],
    view: true,
    conditions: [["start+length", "at most", "k"]],
  }),
  merge_rows: defineOp({
    code: 1,
    doc: "Joins each `factor` consecutive rows of a contiguous x into one.",
    inputs: { x: { kind: "activation", shape: "m k" } },
    attrs: { factor: "u32" },
    outputs: { y: { like: "x", shape: "m/factor k*factor" } },
    view: true,
  }),

  linear: defineOp({
    code: 2,
    doc: "y = x wᵀ",
    inputs: { x: { kind: "activation", shape: "m k" }, w: { kind: "matrix", shape: "n k" } },
    attrs: {},
    outputs: { y: { like: "x", shape: "m n" } },
    rowwise: ["x"],
    splits: [
      { inputs: { w: "rows" }, outputs: { y: "columns" } },
      { inputs: { x: "columns", w: "columns" }, outputs: { y: "partial" } },
      { inputs: { x: "partial" }, outputs: { y: "partial" } },
    ],
  }),
  add_bias: defineOp({
    code: 3,
    doc: "y = x + bias, for each row",
    inputs: { x: { kind: "activation", shape: "m n" }, bias: { kind: "vector", shape: "n" } },
    attrs: {},
    outputs: { y: { like: "x", shape: "m n" } },
    rowwise: ["x"],
    inPlace: { y: "x" },
    splits: [{ inputs: { x: "columns", bias: "rows" }, outputs: { y: "columns" } }],
  }),
  linear_bias: defineOp({
    code: 4,
    doc: "y = x wᵀ + bias",
    inputs: {
      x: { kind: "activation", shape: "m k" },
      w: { kind: "matrix", shape: "n k" },
      bias: { kind: "vector", shape: "n" },
    },
    attrs: {},
    outputs: { y: { like: "x", shape: "m n" } },
    rowwise: ["x"],
    composition: [
      { op: "linear", names: { y: "product" } },
      { op: "add_bias", names: { x: "product" } },
    ],
  }),
  add: defineOp({
    code: 5,
    doc: "y = a + b",
    inputs: { a: { kind: "activation", shape: "m n" }, b: { kind: "activation", shape: "m n" } },
    attrs: {},
    outputs: { y: { like: "a", shape: "m n" } },
    rowwise: ["a", "b"],
    inPlace: { y: "a" },
    splits: [
      { inputs: { a: "columns", b: "columns" }, outputs: { y: "columns" } },
      { inputs: { a: "partial", b: "partial" }, outputs: { y: "partial" } },
    ],
  }),
  rms_norm: defineOp({
    code: 6,
    doc: "y = x / sqrt(mean(x²) + eps) * w over each group of n columns (a row, or a head when n < k)",
    inputs: { x: { kind: "activation", shape: "m k" }, w: { kind: "vector", shape: "n" } },
    attrs: { eps: "f32" },
    outputs: { y: { like: "x", shape: "m k" } },
    rowwise: ["x"],
    inPlace: { y: "x" },
    conditions: [["k", "a multiple of", "n"]],
    // Of heads.
    splits: [{ inputs: { x: "columns" }, outputs: { y: "columns" } }],
  }),
  add_rms_norm: defineOp({
    code: 7,
    doc: "sum = a + b; y = rms_norm(sum, w)",
    inputs: {
      a: { kind: "activation", shape: "m n" },
      b: { kind: "activation", shape: "m n" },
      w: { kind: "vector", shape: "n" },
    },
    attrs: { eps: "f32" },
    outputs: { sum: { like: "a", shape: "m n" }, y: { like: "a", shape: "m n" } },
    rowwise: ["a", "b"],
    inPlace: { sum: "a" },
    composition: [
      { op: "add", names: { y: "sum" } },
      { op: "rms_norm", names: { x: "sum" } },
    ],
  }),
  rms_norm_add_rms_norm: defineOp({
    code: 22,
    doc: "sum = a + rms_norm(b, wb); y = rms_norm(sum, w)",
    inputs: {
      a: { kind: "activation", shape: "m n" },
      b: { kind: "activation", shape: "m n" },
      wb: { kind: "vector", shape: "n" },
      w: { kind: "vector", shape: "n" },
    },
    attrs: { eps: "f32" },
    outputs: { sum: { like: "a", shape: "m n" }, y: { like: "a", shape: "m n" } },
    rowwise: ["a", "b"],
    inPlace: { sum: "a", y: "b" },
    composition: [
      { op: "rms_norm", names: { x: "b", w: "wb", y: "normed" } },
      { op: "add_rms_norm", names: { b: "normed" } },
    ],
  }),
  layer_norm: defineOp({
    code: 8,
    doc: "y = (x - mean(x)) / sqrt(var(x) + eps) * w + b, for each row",
    inputs: {
      x: { kind: "activation", shape: "m n" },
      w: { kind: "vector", shape: "n" },
      b: { kind: "vector", shape: "n" },
    },
    attrs: { eps: "f32" },
    outputs: { y: { like: "x", shape: "m n" } },
    rowwise: ["x"],
    inPlace: { y: "x" },
  }),
  rope: defineOp({
    code: 9,
    doc: "Rotates the first rotaryDim columns of each head by the row's table; the rest passes through. Pairs are (2i, 2i+1) or (i, i + rotaryDim/2): (a, b) -> (a cos - b sin, b cos + a sin).",
    inputs: {
      x: { kind: "activation", shape: "m numHeads*headDim" },
      cos: { kind: "table", shape: "m rotaryDim/2" },
      sin: { kind: "table", shape: "m rotaryDim/2" },
    },
    attrs: { numHeads: "u32", headDim: "u32", rotaryDim: "u32", pairs: ["interleaved", "half"] },
    outputs: { y: { like: "x", shape: "m numHeads*headDim" } },
    rowwise: ["x", "cos", "sin"],
    inPlace: { y: "x" },
    conditions: [
      ["rotaryDim", "at most", "headDim"],
      ["rotaryDim", "a multiple of", "2"],
    ],
    splits: [{ inputs: { x: "columns" }, outputs: { y: "columns" }, counts: { numHeads: "x" } }],
  }),
  kv_write: defineOp({
    code: 10,
    doc: "cache[slots[t] / pageSize, 0|1, head, slots[t] % pageSize, :] = k|v[t, head, :]. The cache is [pages, 2, numKvHeads, pageSize, headDim]; a slot of -1 is skipped.",
    inputs: {
      k: { kind: "activation", shape: "t numKvHeads*headDim" },
      v: { kind: "activation", shape: "t numKvHeads*headDim" },
      slots: { kind: "index", shape: "t" },
      cache: { kind: "state", shape: "pages 2*numKvHeads*pageSize*headDim" },
    },
    attrs: { numKvHeads: "u32", headDim: "u32", pageSize: "u32" },
    outputs: { written: { like: "cache", shape: "pages 2*numKvHeads*pageSize*headDim" } },
    alias: { written: "cache" },
    splits: [
      {
        inputs: { k: "columns", v: "columns", cache: "columns" },
        outputs: { written: "columns" },
        counts: { numKvHeads: "cache" },
      },
    ],
  }),
  attention_paged: defineOp({
    code: 11,
    doc: "Causal grouped-query attention over a paged cache. Query rows cuSeqlens[s]..cuSeqlens[s+1] belong to sequence s; the last of them sits at position contextLens[s] - 1, and key p of s is in page blockTable[s, p / pageSize].",
    inputs: {
      q: { kind: "activation", shape: "t numHeads*headDim" },
      cache: { kind: "state", shape: "pages 2*numKvHeads*pageSize*headDim" },
      blockTable: { kind: "index", shape: "s blocks" },
      cuSeqlens: { kind: "index", shape: "s+1" },
      contextLens: { kind: "index", shape: "s" },
    },
    attrs: { numHeads: "u32", numKvHeads: "u32", headDim: "u32", pageSize: "u32", scale: "f32" },
    outputs: { y: { like: "q", shape: "t numHeads*headDim" } },
    conditions: [["numHeads", "a multiple of", "numKvHeads"]],
    splits: [
      {
        inputs: { q: "columns", cache: "columns" },
        outputs: { y: "columns" },
        counts: { numHeads: "q", numKvHeads: "cache" },
        shared: ["cache"],
      },
    ],
  }),
  attention_weights: defineOp({
    code: 33,
    doc: "How much row i of q attends to each key: weights[i, p] = the mean over its heads, added in their order, of softmax(scale q kᵀ) at key p, one of the first lengths[i], in page blockTable[sequences[i], p / pageSize]; 0 at those behind. Keys are read as floats, whatever the cache holds them in.",
    inputs: {
      q: { kind: "activation", shape: "r numHeads*headDim" },
      cache: { kind: "state", shape: "pages 2*numKvHeads*pageSize*headDim" },
      blockTable: { kind: "index", shape: "s blocks" },
      sequences: { kind: "index", shape: "r" },
      lengths: { kind: "index", shape: "r" },
    },
    attrs: { numHeads: "u32", numKvHeads: "u32", headDim: "u32", pageSize: "u32", scale: "f32" },
    outputs: { weights: { dtype: "f32", shape: "r blocks*pageSize" } },
    rowwise: ["q", "sequences", "lengths"],
    conditions: [["numHeads", "a multiple of", "numKvHeads"]],
  }),
  rope_attention_paged: defineOp({
    code: 23,
    doc: "Rotates q and k, stores the rotated k and v in the cache, then attends: rope, kv_write and attention_paged.",
    inputs: {
      q: { kind: "activation", shape: "t numHeads*headDim" },
      k: { kind: "activation", shape: "t numKvHeads*headDim" },
      v: { kind: "activation", shape: "t numKvHeads*headDim" },
      cos: { kind: "table", shape: "t rotaryDim/2" },
      sin: { kind: "table", shape: "t rotaryDim/2" },
      slots: { kind: "index", shape: "t" },
      cache: { kind: "state", shape: "pages 2*numKvHeads*pageSize*headDim" },
      blockTable: { kind: "index", shape: "s blocks" },
      cuSeqlens: { kind: "index", shape: "s+1" },
      contextLens: { kind: "index", shape: "s" },
    },
    attrs: {
      numHeads: "u32",
      numKvHeads: "u32",
      headDim: "u32",
      rotaryDim: "u32",
      pairs: ["interleaved", "half"],
      pageSize: "u32",
      scale: "f32",
    },
    outputs: {
      y: { like: "q", shape: "t numHeads*headDim" },
      written: { like: "cache", shape: "pages 2*numKvHeads*pageSize*headDim" },
    },
    alias: { written: "cache" },
    conditions: [
      ["numHeads", "a multiple of", "numKvHeads"],
      ["rotaryDim", "at most", "headDim"],
      ["rotaryDim", "a multiple of", "2"],
    ],
    composition: [
      { op: "rope", names: { x: "k", y: "rotatedK", numHeads: "numKvHeads" } },
      { op: "kv_write", names: { k: "rotatedK" } },
      { op: "rope", names: { x: "q", y: "rotatedQ" } },
      { op: "attention_paged", names: { q: "rotatedQ", cache: "written" } },
    ],
  }),
  attention_varlen: defineOp({
    code: 12,
    doc: "Full (not causal) attention inside each run of rows cuSeqlens[i]..cuSeqlens[i+1].",
    inputs: {
      q: { kind: "activation", shape: "m numHeads*headDim" },
      k: { kind: "activation", shape: "m numHeads*headDim" },
      v: { kind: "activation", shape: "m numHeads*headDim" },
      cuSeqlens: { kind: "index", shape: "s+1" },
    },
    attrs: { numHeads: "u32", headDim: "u32", scale: "f32" },
    outputs: { y: { like: "q", shape: "m numHeads*headDim" } },
    splits: [
      {
        inputs: { q: "columns", k: "columns", v: "columns" },
        outputs: { y: "columns" },
        counts: { numHeads: "q" },
      },
    ],
  }),
  swiglu: defineOp({
    code: 13,
    doc: "y = gate * sigmoid(gate) * up",
    inputs: { gate: { kind: "activation", shape: "m n" }, up: { kind: "activation", shape: "m n" } },
    attrs: {},
    outputs: { y: { like: "gate", shape: "m n" } },
    rowwise: ["gate", "up"],
    inPlace: { y: "gate" },
    splits: [{ inputs: { gate: "columns", up: "columns" }, outputs: { y: "columns" } }],
  }),
  linear_swiglu: defineOp({
    code: 24,
    doc: "y = swiglu(x gᵀ, x uᵀ), where w is g over u, each of `width` rows",
    inputs: { x: { kind: "activation", shape: "m k" }, w: { kind: "matrix", shape: "2*width k" } },
    attrs: { width: "u32" },
    outputs: { y: { like: "x", shape: "m width" } },
    rowwise: ["x"],
    composition: [
      { op: "linear", names: { y: "both" } },
      { op: "slice", names: { x: "both", start: 0, length: "width", y: "gate" } },
      { op: "slice", names: { x: "both", start: "width", length: "width", y: "up" } },
      { op: "swiglu" },
    ],
  }),
  gelu: defineOp({
    code: 14,
    doc: "y = x/2 (1 + erf(x / sqrt 2))",
    inputs: { x: { kind: "activation", shape: "m n" } },
    attrs: {},
    outputs: { y: { like: "x", shape: "m n" } },
    rowwise: ["x"],
    inPlace: { y: "x" },
    splits: [{ inputs: { x: "columns" }, outputs: { y: "columns" } }],
  }),
  embed: defineOp({
    code: 15,
    doc: "y[t] = table[ids[t] - first], or zeros where ids[t], one of 0..total-1, has no row in this table; and where it is -1, which `sample` gives where there is nothing to choose.",
    inputs: { ids: { kind: "index", shape: "t" }, table: { kind: "rows", shape: "v n" } },
    attrs: { first: "index", total: "u32" },
    outputs: { y: { like: "activation", shape: "t n" } },
    rowwise: ["ids"],
    conditions: [["v+first", "at most", "total"]],
    splits: [{ inputs: { table: "rows" }, outputs: { y: "partial" }, firsts: { first: "total" } }],
  }),
  gather_rows: defineOp({
    code: 16,
    doc: "y[i] = x[rows[i]]",
    inputs: { x: { kind: "activation", shape: "m n" }, rows: { kind: "index", shape: "r" } },
    attrs: {},
    outputs: { y: { like: "x", shape: "r n" } },
    rowwise: ["rows"],
    splits: [
      { inputs: { x: "columns" }, outputs: { y: "columns" } },
      { inputs: { x: "partial" }, outputs: { y: "partial" } },
    ],
  }),
  scatter_rows: defineOp({
    code: 17,
    doc: "x[rows[i]] = values[i], in place",
    inputs: {
      x: { kind: "activation", shape: "m n" },
      values: { kind: "activation", shape: "f n" },
      rows: { kind: "index", shape: "f" },
    },
    attrs: {},
    outputs: { y: { like: "x", shape: "m n" } },
    alias: { y: "x" },
  }),
  position_embed_bicubic: defineOp({
    code: 18,
    doc: "y[p] = the side x side table sampled at coords[p] = (x, y) in table cells, cubic with a = -0.75, border clamped",
    inputs: { table: { kind: "rows", shape: "side*side n" }, coords: { kind: "table", shape: "m 2" } },
    attrs: { side: "u32" },
    outputs: { y: { like: "activation", shape: "m n" } },
    rowwise: ["coords"],
  }),
  route_experts: defineOp({
    code: 19,
    doc: "scores = sigmoid(logits); experts = the topK of scores + correction inside the topkGroups best of numGroups groups (a group counts the sum of its two best); weights = scores of those, normalised when asked, times scale.",
    inputs: { logits: { kind: "activation", shape: "t e" }, correction: { kind: "vector", shape: "e" } },
    attrs: { topK: "u32", numGroups: "u32", topkGroups: "u32", normalise: ["no", "yes"], scale: "f32" },
    outputs: { experts: { dtype: "i32", shape: "t topK" }, weights: { dtype: "f32", shape: "t topK" } },
    rowwise: ["logits"],
    conditions: [
      ["e", "a multiple of", "numGroups"],
      ["topkGroups", "at most", "numGroups"],
      ["topK", "at most", "e"],
    ],
  }),
  experts: defineOp({
    code: 20,
    doc: "y[t] = sum over k of weights[t, k] * down[e] swiglu(gateUp[e] x[t]), e = experts[t, k] - firstExpert; expert e owns rows e*2*width.. of gateUp (gate first) and e*n.. of down. A choice, one of 0..totalExperts-1, that is none of these numExperts counts nothing.",
    inputs: {
      x: { kind: "activation", shape: "t n" },
      experts: { kind: "index", shape: "t topK" },
      weights: { kind: "table", shape: "t topK" },
      gateUp: { kind: "matrix", shape: "numExperts*2*width n" },
      down: { kind: "matrix", shape: "numExperts*n width" },
    },
    attrs: { numExperts: "u32", topK: "u32", width: "u32", firstExpert: "index", totalExperts: "u32" },
    outputs: { y: { like: "x", shape: "t n" } },
    rowwise: ["x", "experts", "weights"],
    conditions: [["numExperts+firstExpert", "at most", "totalExperts"]],
    splits: [
      {
        inputs: { gateUp: "rows", down: "rows" },
        outputs: { y: "partial" },
        counts: { numExperts: "gateUp" },
        firsts: { firstExpert: "totalExperts" },
      },
    ],
  }),
  adjust_logits: defineOp({
    code: 25,
    doc: "adjusted[i] = logits[rows[i]] in f32, of which token ids[j] becomes (l > 0 ? l / factor : l * factor) + addend by changes[j] = (factor, addend), for j in cuIds[i]..cuIds[i+1]: of several j with one token the last counts, and -1 is none. Then, with maskOf[i] >= 0, tokens whose bit in masks[maskOf[i]] is 0 are -infinity: token t has bit t % 32 of word t / 32. Each operation rounds to f32.",
    inputs: {
      logits: { kind: "activation", shape: "m v" },
      rows: { kind: "index", shape: "a" },
      ids: { kind: "index", shape: "p" },
      changes: { kind: "table", shape: "p 2" },
      cuIds: { kind: "index", shape: "a+1" },
      masks: { kind: "index", shape: "k words" },
      maskOf: { kind: "index", shape: "a" },
    },
    attrs: {},
    outputs: { adjusted: { dtype: "f32", shape: "a v" } },
    conditions: [["v", "at most", "words*32"]],
    gathered: ["logits"],
  }),
  sample: defineOp({
    code: 21,
    doc: "tokens[i] = the token chosen from logits[i], or where adjustedAs[i] >= 0 from adjusted[adjustedAs[i]], by settings[i] = (temperature, topP, minP) and choices[i] = (topK, the bits of a uniform u32): integers behind an exponential of fixed steps, so that every backend chooses the same one (backends/reference/sample.ts has the algorithm). -1 when the largest logit is not finite, one is NaN, or the settings keep none.",
    inputs: {
      logits: { kind: "activation", shape: "m v" },
      adjusted: { kind: "table", shape: "a v" },
      adjustedAs: { kind: "index", shape: "m" },
      settings: { kind: "table", shape: "m 3" },
      choices: { kind: "index", shape: "m 2" },
    },
    attrs: {},
    outputs: { tokens: { dtype: "i32", shape: "m" } },
    // Sums of weights stay below 2^53.
    conditions: [
      ["1", "at most", "v"],
      ["v", "less than", "4194304"],
    ],
    gathered: ["logits"],
  }),
  accept_drafts: defineOp({
    code: 31,
    doc: "accepted[s] = the first i from firsts[s] on behind which nothing was guessed right: guesses[i] < 0, or guesses[i] other than tokens[i]; the last i there is where none is. rows[s] and choices[s] are entry accepted[s] of rowOf and choicesOf.",
    inputs: {
      tokens: { kind: "index", shape: "m" },
      guesses: { kind: "index", shape: "m" },
      firsts: { kind: "index", shape: "d" },
      rowOf: { kind: "index", shape: "m" },
      choicesOf: { kind: "index", shape: "m 2" },
    },
    attrs: {},
    outputs: {
      accepted: { dtype: "i32", shape: "d" },
      rows: { dtype: "i32", shape: "d" },
      choices: { dtype: "i32", shape: "d 2" },
    },
    rowwise: ["firsts"],
  }),
  follow_drafts: defineOp({
    code: 32,
    doc: "What reads draft of[i]: ids[i] = drafts[of[i]], and by accepted[i] = chosen[of[i]] that entry of slotOf, lengthOf, cosOf, sinOf and choicesOf.",
    inputs: {
      of: { kind: "index", shape: "r" },
      drafts: { kind: "index", shape: "p" },
      chosen: { kind: "index", shape: "p" },
      slotOf: { kind: "index", shape: "m" },
      lengthOf: { kind: "index", shape: "m" },
      cosOf: { kind: "table", shape: "m h" },
      sinOf: { kind: "table", shape: "m h" },
      choicesOf: { kind: "index", shape: "m 2" },
    },
    attrs: {},
    outputs: {
      ids: { dtype: "i32", shape: "r" },
      accepted: { dtype: "i32", shape: "r" },
      slots: { dtype: "i32", shape: "r" },
      lengths: { dtype: "i32", shape: "r" },
      cos: { dtype: "f32", shape: "r h" },
      sin: { dtype: "f32", shape: "r h" },
      choices: { dtype: "i32", shape: "r 2" },
    },
    rowwise: ["of"],
  }),

  // What ranks of a group do together. The first three are among the ranks of a tensor group, which all hold the same
  // rows; a peer is a rank of the whole group.
  all_reduce: defineOp({
    code: 26,
    doc: "y = the sum of x over all ranks: added in the ranks' order in f32, then rounded, to the same bits on each.",
    inputs: { x: { kind: "activation", shape: "m n" } },
    attrs: {},
    outputs: { y: { like: "x", shape: "m n" } },
    rowwise: ["x"],
    inPlace: { y: "x" },
    collective: true,
  }),
  all_gather: defineOp({
    code: 27,
    doc: "The columns of all ranks side by side: with w = n / stretches, y[i, (s * ranks + r) * w + j] = column s * w + j of row i of rank r's x.",
    inputs: { x: { kind: "activation", shape: "m n" } },
    attrs: { ranks: "u32", stretches: "u32" },
    outputs: { y: { like: "x", shape: "m n*ranks" } },
    rowwise: ["x"],
    conditions: [["n", "a multiple of", "stretches"]],
    collective: true,
  }),
  reduce_scatter: defineOp({
    code: 28,
    doc: "y = of the sum of x over all ranks, as all_reduce has it, the columns of this rank: the first of `ranks` equal parts for the first.",
    inputs: { x: { kind: "activation", shape: "m n" } },
    attrs: { ranks: "u32" },
    outputs: { y: { like: "x", shape: "m n/ranks" } },
    rowwise: ["x"],
    collective: true,
  }),
  send: defineOp({
    code: 29,
    doc: "Gives x to rank peer, whose next receive from this rank takes it.",
    inputs: { x: { kind: "activation", shape: "m n" } },
    attrs: { peer: "index" },
    outputs: {},
    collective: true,
  }),
  receive: defineOp({
    code: 30,
    doc: "y = what rank peer sends: a row of cols columns for each of rows, whose values do not matter.",
    inputs: { rows: { kind: "index", shape: "m" } },
    attrs: { peer: "index", cols: "u32" },
    outputs: { y: { like: "activation", shape: "m cols" } },
    collective: true,
  }),
  // `defineOp` checks each entry. A `satisfies` here would lend entries the `view` and `composition` that they may have,
  // and every op would be a view and a fused one to the types below.
} as const;

export type OpName = keyof typeof OPS;
/** Ops that change only how an operand is addressed; they never become instructions. */
export type ViewOp = { [N in OpName]: (typeof OPS)[N]["view"] extends undefined ? never : N }[OpName];
/** Ops that stand for simpler ones. */
export type FusedOp = { [N in OpName]: (typeof OPS)[N]["composition"] extends undefined ? never : N }[OpName];
/** Ops of several ranks. */
export type CollectiveOp = {
  [N in OpName]: (typeof OPS)[N]["collective"] extends undefined ? never : N;
}[OpName];
/** Ops that an engine runs by itself. */
export type LocalOp = Exclude<OpName, CollectiveOp>;
export const OP_NAMES = Object.keys(OPS) as OpName[];
export const LOCAL_OPS = OP_NAMES.filter((name): name is LocalOp => !isCollective(name));

export function isCollective(name: OpName): name is CollectiveOp {
  return OPS[name].collective === true;
}

export function opByCode(code: number): OpName | undefined {
  return OP_NAMES.find((name) => OPS[name].code === code);
}
