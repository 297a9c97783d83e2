/**
 * The layer that predicts a token further than the model (multi-token prediction, MTP): one more layer of the decoder behind
 * its last, which reads what the model made of a row and the token that follows it.
 *
 *     x_i = eh_proj [enorm(embedding of token i+1), hnorm(hidden state i)]      layer at position i
 *     logits of token i+2 = head(shared_head.norm(layer(x_i)))
 *
 * The hidden state is what the model's own head sees, behind its last norm; of a draft's draft it is the layer's own result.
 * The embedding of the first row is zero. As in vLLM's glm_ocr_mtp.py and glm4_moe_mtp.py (DeepSeek-V3, arXiv 2412.19437).
 *
 * Inputs: those of the decoder, of rows whose ids and features are those of the row behind; hidden [states, hiddenSize], of
 * which the rows hiddenRows [tokens] belong to them; zeros [firsts, hiddenSize] for the rows firstRows [firsts] that begin a
 * sequence. State: kv.N, N the number of the decoder's layers. Outputs: logits [logits, vocabSize] of the chosen rows, tokens
 * [logits], and state [logits, hiddenSize], their hidden states.
 */
import type { ModelConfig } from "../config/types.ts";
import { createGraphBuilder, type GraphBuilder } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/graph.ts";
import {
  chosenTokens,
  type DecoderOptions,
  decoderInputs,
  decoderLayer,
  embeddings,
  type MtpLayer,
  ROOT,
} from "./decoder.ts";
import { rmsNorm } from "./layers.ts";

export function buildMtp(model: ModelConfig, options: DecoderOptions): Graph {
  const config = model.text;
  const { hiddenSize, vocabSize, rmsNormEps, numHiddenLayers: layer } = config;
  const own = options.mtp as MtpLayer;
  const path = `${ROOT}.layers.${layer}`;
  const g = createGraphBuilder({ ...options, name: "mtp" });
  const embed = embeddings(g, config, options);
  const inputs = decoderInputs(g, config);
  const { logitRows, sample } = chosenTokens(g, config);
  const hidden = g.input("hidden", [g.symbol("states"), hiddenSize], options.activationDType);
  const hiddenRows = g.input("hiddenRows", [g.symbol("tokens")], "i32");
  const zeros = g.input("zeros", [g.symbol("firsts"), hiddenSize], options.activationDType);
  const firstRows = g.input("firstRows", [g.symbol("firsts")], "i32");

  const table = g.weight(tableName(model, own.ownEmbedding), [vocabSize, hiddenSize]);
  const x = g.scope("embed", () => {
    const following = g.scatter_rows({ x: embed(table), values: zeros, rows: firstRows });
    const before = g.gather_rows({ x: hidden, rows: hiddenRows });
    const half = (value: Value, norm: string, index: number) =>
      g.linear({
        x: rmsNorm(g, value, `${path}.${norm}`, rmsNormEps),
        w: columnsOf(g, path, hiddenSize, index),
      });
    return g.add({ a: half(following, "enorm", 0), b: half(before, "hnorm", 1) });
  });
  const out = g.scope(`layers.${layer}`, () => decoderLayer(g, x, layer, inputs, config, options.pageSize));
  const state = g.scope("head", () => g.gather_rows({ x: out, rows: logitRows }));
  const logits = g.scope("head", () => {
    const normed = rmsNorm(g, state, own.ownNorm ? `${path}.shared_head.norm` : `${ROOT}.norm`, rmsNormEps);
    return g.linear({ x: normed, w: g.weight(headName(model, own.ownHead), [vocabSize, hiddenSize]) });
  });
  return g.finish({ logits, tokens: sample(logits), state });
}

/** Half of eh_proj: what it makes of one of the two values, without laying them side by side. */
function columnsOf(g: GraphBuilder, path: string, hiddenSize: number, half: number): Value {
  const tensor = `${path}.eh_proj.weight`;
  return g.weight(`${path}.eh_proj.${half === 0 ? "embedding" : "hidden"}`, [hiddenSize, hiddenSize], {
    sources: [
      {
        tensor,
        shape: [hiddenSize, 2 * hiddenSize],
        cols: { first: half * hiddenSize, count: hiddenSize },
        layout: "rows",
      },
    ],
  });
}

function tableName({ text }: ModelConfig, isOwn: boolean): string {
  return `${isOwn ? `${ROOT}.layers.${text.numHiddenLayers}` : ROOT}.embed_tokens.weight`;
}

function headName({ text, tieWordEmbeddings }: ModelConfig, isOwn: boolean): string {
  if (isOwn) return `${ROOT}.layers.${text.numHiddenLayers}.shared_head.head.weight`;
  return `${tieWordEmbeddings ? `${ROOT}.embed_tokens` : "lm_head"}.weight`;
}

/** The layer's own large weights, each with the model's, of which published checkpoints have copies there. */
export function mtpCopies(model: ModelConfig, { ownEmbedding, ownHead }: MtpLayer): [string, string][] {
  return [
    ...(ownEmbedding ? [[tableName(model, true), tableName(model, false)] as [string, string]] : []),
    ...(ownHead ? [[headName(model, true), headName(model, false)] as [string, string]] : []),
  ];
}
