/**
 * The language model of the whole family. Dense families put norms before and after each part of a layer
 * (sandwich), the MoE family only before; its later layers route each token to a few experts.
 *
 * Inputs: inputIds [tokens], cos and sin [tokens, rotaryDim/2], slots [tokens], blockTable [sequences, blocks],
 * cuSeqlens [sequences+1], contextLens [sequences], features [slab, hiddenSize], of which the rows featureSources
 * [features] replace the embeddings of rows featureRows [features], logitRows [logits], and of the chosen rows what
 * `sample` reads: samplingSettings [logits, 3], samplingChoices [logits, 2] and adjustedAs [logits]; and of those whose
 * logits are adjusted before what `adjust_logits` does: adjustedRows [adjusted], adjustedIds [changes], logitChanges
 * [changes, 2], cuAdjustedIds [adjusted+1], tokenMasks [masks, ceil(vocabSize / 32)] and tokenMaskOf [adjusted]. States:
 * kv.N, one paged cache a layer. Outputs: logits [logits, vocabSize] of the chosen rows, as the model has them, and the
 * tokens [logits] chosen from them.
 *
 * With `attention` there is more: how much rows attendingRows [attending], each of sequence attendingSequences [attending],
 * attend in the last layer to the first attendedKeys [attending] of it, as output attention [attending, blocks * pageSize].
 */
import type { ModelConfig, TextConfig } from "../config/types.ts";
import { createGraphBuilder, type GraphBuilder, type GraphOptions } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { offsetDim } from "../tensor/dims.ts";
import { gatedMlp, linear, rmsNorm, stackedGatedMlp } from "./layers.ts";
import { mixtureOfExperts } from "./mixture-of-experts.ts";

export const ROOT = "model.language_model";

export interface DecoderOptions extends Omit<GraphOptions, "name"> {
  /** Tokens in a page of the KV cache. */
  readonly pageSize: number;
  /** The checkpoint's layer that predicts several tokens (MTP), where drafts are to come of it. */
  readonly mtp?: MtpLayer | undefined;
  /** Whether the last layer's attention of chosen rows is an output; default: no. */
  readonly attention?: boolean | undefined;
}

/** Which weights of the MTP layer are its own; the others are those of the model. */
export interface MtpLayer {
  readonly ownEmbedding: boolean;
  readonly ownNorm: boolean;
  readonly ownHead: boolean;
}

export interface DecoderInputs {
  readonly cos: Value;
  readonly sin: Value;
  readonly slots: Value;
  readonly blockTable: Value;
  readonly cuSeqlens: Value;
  readonly contextLens: Value;
}

export function buildDecoder(model: ModelConfig, options: DecoderOptions): Graph {
  const g = createGraphBuilder({ ...options, name: "decoder" });
  const { logits, tokens, attention } = decode(g, model, options);
  return g.finish({ logits, tokens, ...attention });
}

/** What more than the tokens may be made of. */
export interface Decoded {
  readonly inputs: DecoderInputs;
  /** [slab, hiddenSize] */
  readonly slab: Value;
  readonly logitRows: Value;
  readonly logits: Value;
  /** What `adjust_logits` made of them. */
  readonly adjusted: Value;
  readonly tokens: Value;
  /** An output where it was asked for. */
  readonly attention: { readonly attention?: Value };
  /** What the head would see of all rows [tokens, hiddenSize]. */
  readonly hidden: Value;
}

/** Declares the decoder's inputs, and computes its tokens. */
export function decode(g: GraphBuilder, model: ModelConfig, options: DecoderOptions): Decoded {
  const config = model.text;
  const { slab, embed } = embeddings(g, config, options);
  const inputs = decoderInputs(g, config);
  const { logitRows, sample } = chosenTokens(g, config);

  const table = g.weight(`${ROOT}.embed_tokens.weight`, [config.vocabSize, config.hiddenSize]);
  let x = g.scope("embed", () => embed(table));
  let attention: Decoded["attention"] = {};
  const attended = options.attention ? attendingRows(g) : null;
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const cache = layerCache(g, layer, config, options.pageSize);
    const isLast = layer === config.numHiddenLayers - 1;
    const result = g.scope(`layers.${layer}`, () =>
      decoderLayer(g, x, layer, inputs, cache, config, options.pageSize, isLast ? attended : null),
    );
    x = result.x;
    if (result.attention) attention = { attention: result.attention };
  }
  const normed = g.scope("head", () => rmsNorm(g, x, `${ROOT}.norm`, config.rmsNormEps));
  const logits = g.scope("head", () => {
    const chosen = g.gather_rows({ x: normed, rows: logitRows });
    if (model.tieWordEmbeddings) return g.linear({ x: chosen, w: table });
    return linear(g, chosen, "lm_head", config.vocabSize, false);
  });
  return { inputs, slab, logitRows, logits, attention, hidden: normed, ...sample(logits) };
}

/** Rows of which it is told what they attend to. */
interface AttendingRows {
  readonly rows: Value;
  readonly sequences: Value;
  readonly lengths: Value;
}

function attendingRows(g: GraphBuilder): AttendingRows {
  const attending = g.symbol("attending");
  return {
    rows: g.input("attendingRows", [attending], "i32"),
    sequences: g.input("attendingSequences", [attending], "i32"),
    lengths: g.input("attendedKeys", [attending], "i32"),
  };
}

/** What every program over the paged cache reads of its rows. */
function decoderInputs(g: GraphBuilder, { rope }: TextConfig): DecoderInputs {
  const tokens = g.symbol("tokens");
  const sequences = g.symbol("sequences");
  return {
    cos: g.input("cos", [tokens, rope.rotaryDim / 2], "f32"),
    sin: g.input("sin", [tokens, rope.rotaryDim / 2], "f32"),
    slots: g.input("slots", [tokens], "i32"),
    blockTable: g.input("blockTable", [sequences, g.symbol("blocks")], "i32"),
    cuSeqlens: g.input("cuSeqlens", [offsetDim(sequences, 1)], "i32"),
    contextLens: g.input("contextLens", [sequences], "i32"),
  };
}

/** Declares ids and features. @returns the features, and what makes embeddings of a table [vocabSize, hiddenSize] */
function embeddings(
  g: GraphBuilder,
  { hiddenSize, vocabSize }: TextConfig,
  { activationDType }: DecoderOptions,
): { slab: Value; embed: (table: Value) => Value } {
  const inputIds = g.input("inputIds", [g.symbol("tokens")], "i32");
  const slab = g.input("features", [g.symbol("slab"), hiddenSize], activationDType);
  const featureSources = g.input("featureSources", [g.symbol("features")], "i32");
  const featureRows = g.input("featureRows", [g.symbol("features")], "i32");
  const embed = (table: Value) => {
    const values = g.gather_rows({ x: slab, rows: featureSources });
    return g.scatter_rows({
      x: g.embed({ ids: inputIds, table }, { first: 0, total: vocabSize }),
      values,
      rows: featureRows,
    });
  };
  return { slab, embed };
}

/** Declares which rows go through the head, and what the token behind each is chosen by. */
function chosenTokens(
  g: GraphBuilder,
  { vocabSize }: TextConfig,
): { logitRows: Value; sample: (logits: Value) => { adjusted: Value; tokens: Value } } {
  const rows = g.symbol("logits");
  const logitRows = g.input("logitRows", [rows], "i32");
  const sampling = {
    adjustedAs: g.input("adjustedAs", [rows], "i32"),
    settings: g.input("samplingSettings", [rows, 3], "f32"),
    choices: g.input("samplingChoices", [rows, 2], "i32"),
  };
  const [adjusted, changes] = [g.symbol("adjusted"), g.symbol("changes")];
  const adjustments = {
    rows: g.input("adjustedRows", [adjusted], "i32"),
    ids: g.input("adjustedIds", [changes], "i32"),
    changes: g.input("logitChanges", [changes, 2], "f32"),
    cuIds: g.input("cuAdjustedIds", [offsetDim(adjusted, 1)], "i32"),
    masks: g.input("tokenMasks", [g.symbol("masks"), maskWords(vocabSize)], "i32"),
    maskOf: g.input("tokenMaskOf", [adjusted], "i32"),
  };
  const sample = (logits: Value) => {
    const adjusted = g.adjust_logits({ logits, ...adjustments });
    return { adjusted, tokens: g.sample({ logits, adjusted, ...sampling }) };
  };
  return { logitRows, sample: (logits) => g.scope("sample", () => sample(logits)) };
}

/** 32-bit words of a mask with a bit a token. */
export function maskWords(vocabSize: number): number {
  return Math.ceil(vocabSize / 32);
}

/** Declares the memory of a layer's keys and values. */
export function layerCache(
  g: GraphBuilder,
  layer: number,
  { numKeyValueHeads, headDim }: TextConfig,
  pageSize: number,
): Value {
  return g.state(`kv.${layer}`, [g.symbol("pages"), 2 * numKeyValueHeads * pageSize * headDim]);
}

/**
 * @param attending rows of which it tells what they attend to
 * @returns what it makes of x, and its cache with the rows' keys and values
 */
export function decoderLayer(
  g: GraphBuilder,
  x: Value,
  layer: number,
  inputs: DecoderInputs,
  cache: Value,
  config: TextConfig,
  pageSize: number,
  attending: AttendingRows | null = null,
): { x: Value; cache: Value; attention: Value | undefined } {
  const path = `${ROOT}.layers.${layer}`;
  const norm = (value: Value, name: string) => rmsNorm(g, value, `${path}.${name}`, config.rmsNormEps);
  const after = (value: Value, name: string) => (config.sandwichNorms ? norm(value, name) : value);

  const { middle, written, weights } = g.scope("attention", () => {
    const { heads, written, weights } = attention(
      g,
      norm(x, "input_layernorm"),
      layer,
      inputs,
      cache,
      config,
      pageSize,
      attending,
    );
    const attended = linear(g, heads, `${path}.self_attn.o_proj`, config.hiddenSize, false);
    return { middle: g.add({ a: x, b: after(attended, "post_self_attn_layernorm") }), written, weights };
  });
  const out = g.scope("mlp", () => {
    const mixed = feedForward(g, norm(middle, "post_attention_layernorm"), layer, config);
    return g.add({ a: middle, b: after(mixed, "post_mlp_layernorm") });
  });
  return { x: out, cache: written, attention: weights };
}

/** The heads' results side by side, before o_proj, the cache with the rows in it, and what some rows attend to. */
function attention(
  g: GraphBuilder,
  x: Value,
  layer: number,
  inputs: DecoderInputs,
  cache: Value,
  config: TextConfig,
  pageSize: number,
  attending: AttendingRows | null,
): { heads: Value; written: Value; weights: Value | undefined } {
  const { numAttentionHeads: numHeads, numKeyValueHeads: numKvHeads, headDim, attentionBias } = config;
  const { rotaryDim, pairs } = config.rope;
  const { cos, sin, slots, blockTable, cuSeqlens, contextLens } = inputs;
  const path = `${ROOT}.layers.${layer}.self_attn`;
  const project = (name: string, heads: number) =>
    linear(g, x, `${path}.${name}`, heads * headDim, attentionBias);
  const rotate = (value: Value, heads: number) =>
    g.rope({ x: value, cos, sin }, { numHeads: heads, headDim, rotaryDim, pairs });

  const q = project("q_proj", numHeads);
  const k = project("k_proj", numKvHeads);
  const v = project("v_proj", numKvHeads);
  const written = g.kv_write(
    { k: rotate(k, numKvHeads), v, slots, cache },
    { numKvHeads, headDim, pageSize },
  );
  const rotated = rotate(q, numHeads);
  const attrs = { numHeads, numKvHeads, headDim, pageSize, scale: headDim ** -0.5 };
  const heads = g.attention_paged({ q: rotated, cache: written, blockTable, cuSeqlens, contextLens }, attrs);
  if (!attending) return { heads, written, weights: undefined };
  const { rows, sequences, lengths } = attending;
  const attendingQ = g.gather_rows({ x: rotated, rows });
  const weights = g.attention_weights(
    { q: attendingQ, cache: written, blockTable, sequences, lengths },
    attrs,
  );
  return { heads, written, weights };
}

function feedForward(g: GraphBuilder, x: Value, layer: number, config: TextConfig): Value {
  const path = `${ROOT}.layers.${layer}.mlp`;
  const { moe, intermediateSize } = config;
  if (!moe) return stackedGatedMlp(g, x, path, intermediateSize);
  if (layer < moe.firstKDenseReplace) return gatedMlp(g, x, path, intermediateSize, false);
  return mixtureOfExperts(g, x, path, moe);
}
