/**
 * The decoder with the layer that predicts a token further (multi-token prediction, MTP): one program chooses tokens, tells
 * which guesses among its rows were right, and guesses the tokens that come next.
 *
 *     x_i = eh_proj [enorm(embedding of token i+1), hnorm(hidden state i)]      one more layer of the decoder, at position i
 *     logits of token i+2 = head(shared_head.norm(layer(x_i)))
 *
 * The hidden state is what the model's own head sees, behind its last norm; of a draft's draft it is the layer's own result.
 * The embedding of the first row is zero. As in vLLM's glm_ocr_mtp.py and glm4_moe_mtp.py (DeepSeek-V3, arXiv 2412.19437).
 *
 * The layer reads all rows of the step, those of guesses that turn out wrong too: their keys are written over, as the model's.
 * The first draft comes of the last row that is true; each other one of the draft before, alone, at the place that follows.
 *
 * Inputs, beside the decoder's: nextIds [tokens], the id behind each row, which counts where no token is chosen;
 * nextFeatureSources and nextFeatureRows [nextFeatures], features of the rows behind; zeros [firsts, hiddenSize] for the rows
 * firstRows [firsts] that begin a sequence; guesses [logits], the id that was guessed behind each chosen row, or -1.
 * Of draft j of 1 .. MOST_DRAFTS, in drafts.j sequences: settings.j [drafts.j, 3] and plain.j [drafts.j], all -1; and by chosen
 * row, as if it were the last true one, choices.j [logits, 2]. Of the first firstChosen [drafts.1], where the chosen rows of each
 * sequence begin. Of the others draftOf.j [drafts.j], which of the drafts before they go on from; by chosen row slots.j and
 * lengths.j [logits], cos.j and sin.j [logits, rotaryDim/2]; blockTable.j [drafts.j, blocks] and cuSeqlens.j [drafts.j+1].
 * State, beside the decoder's: kv.N, N the number of its layers. Outputs, beside the decoder's: drafts.j [drafts.j].
 */
import type { ModelConfig } from "../config/types.ts";
import { createGraphBuilder, type GraphBuilder } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { offsetDim } from "../tensor/dims.ts";
import {
  type DecoderInputs,
  type DecoderOptions,
  decode,
  decoderLayer,
  layerCache,
  type MtpLayer,
  ROOT,
} from "./decoder.ts";
import { rmsNorm } from "./layers.ts";

/** Of one step: the layer learnt one token further, and goes on from what it made itself. */
export const MOST_MTP_DRAFTS = 3;

export function buildDraftingDecoder(model: ModelConfig, options: DecoderOptions): Graph {
  const config = model.text;
  const { hiddenSize, vocabSize, rmsNormEps, numHiddenLayers: layer } = config;
  const own = options.mtp as MtpLayer;
  const path = `${ROOT}.layers.${layer}`;
  const g = createGraphBuilder({ ...options, name: "drafting" });
  const { inputs, slab, logitRows, logits, adjusted, tokens, attention, hidden } = decode(g, model, options);
  const table = g.weight(tableName(model, own.ownEmbedding), [vocabSize, hiddenSize]);
  let cache = layerCache(g, layer, config, options.pageSize);

  /** What the layer makes of hidden states and the embeddings of the tokens behind. */
  const read = (following: Value, before: Value, places: DecoderInputs) => {
    const half = (value: Value, norm: string, index: number) =>
      g.linear({
        x: rmsNorm(g, value, `${path}.${norm}`, rmsNormEps),
        w: columnsOf(g, path, hiddenSize, index),
      });
    const x = g.scope("embed", () => g.add({ a: half(following, "enorm", 0), b: half(before, "hnorm", 1) }));
    const result = g.scope(`layers.${layer}`, () =>
      decoderLayer(g, x, layer, places, cache, config, options.pageSize),
    );
    cache = result.cache;
    return result.x;
  };
  const choose = (j: number, state: Value, choices: Value) => {
    const drafts = g.symbol(`drafts.${j}`);
    const plain = g.input(`plain.${j}`, [drafts], "i32");
    const settings = g.input(`settings.${j}`, [drafts, 3], "f32");
    const normed = rmsNorm(g, state, own.ownNorm ? `${path}.shared_head.norm` : `${ROOT}.norm`, rmsNormEps);
    const guessed = g.linear({
      x: normed,
      w: g.weight(headName(model, own.ownHead), [vocabSize, hiddenSize]),
    });
    return g.sample({ logits: guessed, adjusted, adjustedAs: plain, settings, choices });
  };

  const rows = g.symbol("logits");
  const last = g.accept_drafts({
    tokens,
    guesses: g.input("guesses", [rows], "i32"),
    firsts: g.input("firstChosen", [g.symbol("drafts.1")], "i32"),
    rowOf: logitRows,
    choicesOf: g.input("choices.1", [rows, 2], "i32"),
  });
  const following = nextEmbeddings(g, model, options, { table, slab, tokens, logitRows });
  let accepted = last.accepted;
  let state = g.scope("draft.1", () =>
    g.gather_rows({ x: read(following, hidden, inputs), rows: last.rows }),
  );
  let drafts = g.scope("draft.1", () => choose(1, state, last.choices));
  const outputs: Record<string, Value> = { logits, tokens, ...attention, "drafts.1": drafts };
  const half = config.rope.rotaryDim / 2;
  for (let j = 2; j <= MOST_MTP_DRAFTS; j++) {
    const count = g.symbol(`drafts.${j}`);
    const of = g.input(`draftOf.${j}`, [count], "i32");
    const at = g.follow_drafts({
      of,
      drafts,
      chosen: accepted,
      slotOf: g.input(`slots.${j}`, [rows], "i32"),
      lengthOf: g.input(`lengths.${j}`, [rows], "i32"),
      cosOf: g.input(`cos.${j}`, [rows, half], "f32"),
      sinOf: g.input(`sin.${j}`, [rows, half], "f32"),
      choicesOf: g.input(`choices.${j}`, [rows, 2], "i32"),
    });
    const places = {
      cos: at.cos,
      sin: at.sin,
      slots: at.slots,
      blockTable: g.input(`blockTable.${j}`, [count, g.symbol("blocks")], "i32"),
      cuSeqlens: g.input(`cuSeqlens.${j}`, [offsetDim(count, 1)], "i32"),
      contextLens: at.lengths,
    };
    accepted = at.accepted;
    const before = g.gather_rows({ x: state, rows: of });
    state = g.scope(`draft.${j}`, () =>
      read(g.embed({ ids: at.ids, table }, { first: 0, total: vocabSize }), before, places),
    );
    drafts = g.scope(`draft.${j}`, () => choose(j, state, at.choices));
    outputs[`drafts.${j}`] = drafts;
  }
  return g.finish(outputs);
}

/** Embeddings of the ids behind the rows of a step, and features in place of some; zero for the first of a sequence. */
function nextEmbeddings(
  g: GraphBuilder,
  { text: { hiddenSize, vocabSize } }: ModelConfig,
  { activationDType }: DecoderOptions,
  { table, slab, tokens, logitRows }: Readonly<Record<"table" | "slab" | "tokens" | "logitRows", Value>>,
): Value {
  const [features, firsts] = [g.symbol("nextFeatures"), g.symbol("firsts")];
  const ids = g.input("nextIds", [g.symbol("tokens")], "i32");
  const sources = g.input("nextFeatureSources", [features], "i32");
  const rows = g.input("nextFeatureRows", [features], "i32");
  const zeros = g.input("zeros", [firsts, hiddenSize], activationDType);
  const firstRows = g.input("firstRows", [firsts], "i32");
  const embed = (ids: Value) => g.embed({ ids, table }, { first: 0, total: vocabSize });
  const chosen = g.scatter_rows({ x: embed(ids), values: embed(tokens), rows: logitRows });
  const seen = g.scatter_rows({ x: chosen, values: g.gather_rows({ x: slab, rows: sources }), rows });
  return g.scatter_rows({ x: seen, values: zeros, rows: firstRows });
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
