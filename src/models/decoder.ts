/**
 * The language model of the whole family. Dense families put norms before and after each part of a layer
 * (sandwich), the MoE family only before; its later layers route each token to a few experts.
 *
 * Inputs: inputIds [tokens], cos and sin [tokens, rotaryDim/2], slots [tokens], blockTable [sequences, blocks],
 * cuSeqlens [sequences+1], contextLens [sequences], features [slab, hiddenSize], of which the rows featureSources
 * [features] replace the embeddings of rows featureRows [features], logitRows [logits], and of the chosen rows what
 * `sample` reads: samplingSettings [logits, 4], samplingChoices [logits, 2], penalised [penalised] and cuPenalised
 * [logits+1]. States: kv.N, one paged cache a layer. Outputs: logits [logits, vocabSize] of the chosen rows, and the
 * tokens [logits] chosen from them.
 */
import type { ModelConfig, TextConfig } from "../config/types.ts";
import { createGraphBuilder, type GraphBuilder, type GraphOptions } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { offsetDim } from "../tensor/dims.ts";
import { gatedMlp, linear, rmsNorm, stackedGatedMlp } from "./layers.ts";
import { mixtureOfExperts } from "./mixture-of-experts.ts";

const ROOT = "model.language_model";

export interface DecoderOptions extends Omit<GraphOptions, "name"> {
  /** Tokens in a page of the KV cache. */
  readonly pageSize: number;
}

interface DecoderInputs {
  readonly cos: Value;
  readonly sin: Value;
  readonly slots: Value;
  readonly blockTable: Value;
  readonly cuSeqlens: Value;
  readonly contextLens: Value;
}

export function buildDecoder(model: ModelConfig, options: DecoderOptions): Graph {
  const config = model.text;
  const g = createGraphBuilder({ ...options, name: "decoder" });
  const tokens = g.symbol("tokens");
  const sequences = g.symbol("sequences");
  const features = g.symbol("features");
  const inputIds = g.input("inputIds", [tokens], "i32");
  const inputs: DecoderInputs = {
    cos: g.input("cos", [tokens, config.rope.rotaryDim / 2], "f32"),
    sin: g.input("sin", [tokens, config.rope.rotaryDim / 2], "f32"),
    slots: g.input("slots", [tokens], "i32"),
    blockTable: g.input("blockTable", [sequences, g.symbol("blocks")], "i32"),
    cuSeqlens: g.input("cuSeqlens", [offsetDim(sequences, 1)], "i32"),
    contextLens: g.input("contextLens", [sequences], "i32"),
  };
  const slab = g.input("features", [g.symbol("slab"), config.hiddenSize], options.activationDType);
  const featureSources = g.input("featureSources", [features], "i32");
  const featureRows = g.input("featureRows", [features], "i32");
  const chosenRows = g.symbol("logits");
  const logitRows = g.input("logitRows", [chosenRows], "i32");
  const sampling = {
    settings: g.input("samplingSettings", [chosenRows, 4], "f32"),
    choices: g.input("samplingChoices", [chosenRows, 2], "i32"),
    penalised: g.input("penalised", [g.symbol("penalised")], "i32"),
    cuPenalised: g.input("cuPenalised", [offsetDim(chosenRows, 1)], "i32"),
  };

  const table = g.weight(`${ROOT}.embed_tokens.weight`, [config.vocabSize, config.hiddenSize]);
  let x = g.scope("embed", () => {
    const values = g.gather_rows({ x: slab, rows: featureSources });
    return g.scatter_rows({ x: g.embed({ ids: inputIds, table }), values, rows: featureRows });
  });
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    x = g.scope(`layers.${layer}`, () => decoderLayer(g, x, layer, inputs, config, options.pageSize));
  }
  const logits = g.scope("head", () => {
    const chosen = g.gather_rows({ x, rows: logitRows });
    const normed = rmsNorm(g, chosen, `${ROOT}.norm`, config.rmsNormEps);
    if (model.tieWordEmbeddings) return g.linear({ x: normed, w: table });
    return linear(g, normed, "lm_head", config.vocabSize, false);
  });
  return g.finish({ logits, tokens: g.scope("sample", () => g.sample({ logits, ...sampling })) });
}

function decoderLayer(
  g: GraphBuilder,
  x: Value,
  layer: number,
  inputs: DecoderInputs,
  config: TextConfig,
  pageSize: number,
): Value {
  const path = `${ROOT}.layers.${layer}`;
  const norm = (value: Value, name: string) => rmsNorm(g, value, `${path}.${name}`, config.rmsNormEps);
  const after = (value: Value, name: string) => (config.sandwichNorms ? norm(value, name) : value);

  const middle = g.scope("attention", () => {
    const heads = attention(g, norm(x, "input_layernorm"), layer, inputs, config, pageSize);
    const attended = linear(g, heads, `${path}.self_attn.o_proj`, config.hiddenSize, false);
    return g.add({ a: x, b: after(attended, "post_self_attn_layernorm") });
  });
  return g.scope("mlp", () => {
    const mixed = feedForward(g, norm(middle, "post_attention_layernorm"), layer, config);
    return g.add({ a: middle, b: after(mixed, "post_mlp_layernorm") });
  });
}

/** The heads' results side by side, before o_proj. */
function attention(
  g: GraphBuilder,
  x: Value,
  layer: number,
  inputs: DecoderInputs,
  config: TextConfig,
  pageSize: number,
): Value {
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
  const cache = g.state(`kv.${layer}`, [g.symbol("pages"), 2 * numKvHeads * pageSize * headDim]);
  const written = g.kv_write(
    { k: rotate(k, numKvHeads), v, slots, cache },
    { numKvHeads, headDim, pageSize },
  );
  return g.attention_paged(
    { q: rotate(q, numHeads), cache: written, blockTable, cuSeqlens, contextLens },
    { numHeads, numKvHeads, headDim, pageSize, scale: headDim ** -0.5 },
  );
}

function feedForward(g: GraphBuilder, x: Value, layer: number, config: TextConfig): Value {
  const path = `${ROOT}.layers.${layer}.mlp`;
  const { moe, intermediateSize } = config;
  if (!moe) return stackedGatedMlp(g, x, path, intermediateSize);
  if (layer < moe.firstKDenseReplace) return gatedMlp(g, x, path, intermediateSize, false);
  return mixtureOfExperts(g, x, path, moe);
}
