/** One request without an engine: what it asks for step by step, whatever the sizes, and what it makes of the tokens. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import type { GenerationDefaults } from "../../src/config/types.ts";
import { ocrConfig } from "../../src/conformance/model-configs.ts";
import { GlimtError } from "../../src/errors.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { layOutPrompt } from "../../src/prompt/layout.ts";
import type { SequenceSlice, SliceAnswer } from "../../src/runtime/decoder.ts";
import type { FeatureRange } from "../../src/runtime/feature-slab.ts";
import { KvPool } from "../../src/runtime/kv-pool.ts";
import {
  type GenerateOptions,
  resolveGeneration,
  withTokenizersEnd,
} from "../../src/serving/generation-options.ts";
import { GenerationRequest } from "../../src/serving/request.ts";
import { DraftCounts } from "../../src/serving/speculation.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { fc } from "../property.ts";

const engine = await createReferenceBackend("f32").open();
const tokenizer = await loadTokenizer(await openDirectory("test/golden/data/glm_ocr-tiny"));
const EOS = 7;
const generation: GenerationDefaults = {
  doSample: false,
  eosTokenIds: [EOS],
  padTokenId: null,
  temperature: null,
  topK: null,
  topP: null,
  repetitionPenalty: null,
};
const FIRST_FEATURE = 100;

/** Text, an image of 2 x 3 features, text: 14 tokens. */
const types = [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0];
const layout = layOutPrompt([...types.keys()], types, { imageGridThw: [[1, 4, 6]], spatialMergeSize: 2 });

function open(options: GenerateOptions = {}) {
  const pool = new KvPool(engine, { numLayers: 1, pageSize: 4, pageElements: 4, dtype: "f32" });
  const config = { ...ocrConfig, text: { ...ocrConfig.text, vocabSize: tokenizer.vocabSize } };
  const parts = { config, tokenizer, pool, generation, drafts: new DraftCounts(), videoPruning: 0 };
  const visionItems = [{ embeddings: new Float32Array(0) }];
  const resolved = resolveGeneration(options, generation, { ...config.text, tokenizer });
  const request = new GenerationRequest(parts, { layout, history: layout.inputIds, visionItems }, resolved);
  let released = 0;
  const features = { firstRow: FIRST_FEATURE, rows: 6, release: () => released++ } as unknown as FeatureRange;
  request.takeFeatures({ range: features, kept: [] });
  return { request, pool, features, released: () => released };
}

/** What a step does with a slice. */
function run({ sequence, inputIds, wantsLogits, sampling }: SequenceSlice, token: number): SliceAnswer {
  sequence.reserve(inputIds.length);
  sequence.length += inputIds.length;
  return { logits: wantsLogits ? [new Float32Array([0, 2, 1])] : [], tokens: sampling ? [token] : [] };
}

interface Row {
  readonly id: number;
  readonly positions: readonly number[];
  readonly feature: number;
}

function rowsOf({ inputIds, positionIds, features }: SequenceSlice): Row[] {
  return Array.from(inputIds, (id, row) => ({
    id,
    positions: positionIds.map((axis) => axis[row] as number),
    feature: features?.sources[features.rows.indexOf(row)] ?? -1,
  }));
}

const promptRows: readonly Row[] = layout.inputIds.map((id, row) => ({
  id,
  positions: layout.positionIds.map((axis) => axis[row] as number),
  feature: layout.features[row] === -1 ? -1 : FIRST_FEATURE + (layout.features[row] as number),
}));

/** Rows of the whole prompt and of these tokens behind it. */
function expectedRows(tokens: readonly number[]): Row[] {
  const answer = tokens.map((id, index) => ({
    id,
    positions: textPositions(types.length + index, 1, layout.ropeDelta).map((axis) => axis[0] as number),
    feature: -1,
  }));
  return [...promptRows, ...answer];
}

test("vision items are handed out once, and not kept", () => {
  const { request } = open();
  assert.is(request.takeVisionItems().length, 1);
  assert.is(request.takeVisionItems().length, 0);
});

test("slices of any size are the prompt and the answer, each row once, and only the last row asks", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), fc.nat(6), (sizes, count) => {
      const { request, released } = open({ maxTokens: count + 1 });
      const tokens = Array.from({ length: count + 1 }, (_, index) => 20 + index);
      const rows: Row[] = [];
      for (let step = 0; !request.finished; step++) {
        const slice = request.nextSlice(sizes[step % sizes.length] as number);
        rows.push(...rowsOf(slice));
        const said = rows.length - types.length;
        assert.is(slice.sampling !== undefined, said >= 0);
        assert.is(slice.wantsLogits === true, said === 0);
        const [piece] = request.accept(run(slice, tokens[said] as number));
        assert.equal(
          [piece?.tokenId, piece?.index],
          said >= 0 ? [tokens[said], said] : [undefined, undefined],
        );
        assert.is(released(), 0);
      }
      assert.equal(rows, expectedRows(tokens.slice(0, -1)));
      const { tokenIds, finishReason, usage } = request.result();
      assert.equal([tokenIds, finishReason], [tokens, "length"]);
      assert.equal(usage, {
        promptTokens: 14,
        visionTokens: 6,
        completionTokens: count + 1,
        cachedTokens: 0,
      });
    }),
  );
});

test("asking again gives the same slice, and draws no other number", () => {
  const { request } = open({ temperature: 1, seed: 3 });
  const first = request.nextSlice(100);
  assert.equal(request.nextSlice(100), first);
  request.accept(run(first, 9));
  const second = request.nextSlice(100);
  assert.equal(request.nextSlice(100), second);
  assert.is.not(second.sampling?.[0]?.choices[1], first.sampling?.[0]?.choices[1]);
});

test("a request whose sequence lost its pages reads prompt and answer again, with the features that it kept, without logits", () => {
  for (const size of [3, 5, 16, 100]) {
    const { request, pool, released } = open();
    while (request.tokensRead < types.length) request.accept(run(request.nextSlice(100), 20));
    request.accept(run(request.nextSlice(1), 21));
    const draw = request.nextSlice(1).sampling?.[0]?.choices;
    request.giveBackPages();
    assert.is(pool.numFreePages, pool.numPages);
    assert.equal([request.promptSizes.tokens, request.canBeReadAgain], [16, true]);
    const rows: Row[] = [];
    for (;;) {
      const slice = request.nextSlice(size);
      rows.push(...rowsOf(slice));
      assert.not(slice.wantsLogits);
      const [piece] = request.accept(run(slice, 22));
      if (!piece) continue;
      assert.equal([piece.index, slice.sampling?.[0]?.choices], [2, draw]);
      break;
    }
    assert.is(released(), 0);
    assert.equal(rows, expectedRows([20, 21]));
    assert.equal(request.result().tokenIds, [20, 21, 22]);
    assert.equal(request.result().topLogits[0], [1, 2]);
  }
});

test("features that were read can be given back, once; then it can not be read again", () => {
  const { request, released } = open();
  request.accept(run(request.nextSlice(5), 0));
  assert.equal([request.giveBackFeatures(), request.canBeReadAgain], [false, true]);
  request.accept(run(request.nextSlice(100), 20));
  assert.equal([request.giveBackFeatures(), request.canBeReadAgain, released()], [true, false, 1]);
  assert.is(request.giveBackFeatures(), false);
});

test("how much is read of a pruned video is known before its features, and which rows behind them", () => {
  // Text, three frames of 1 x 2 with a timestamp behind each, text.
  const clip = [0, 2, 2, 0, 2, 2, 0, 2, 2, 0, 0];
  const whole = layOutPrompt([...clip.keys()], clip, { videoGridThw: [[3, 2, 4]], spatialMergeSize: 2 });
  const pool = new KvPool(engine, { numLayers: 1, pageSize: 4, pageElements: 4, dtype: "f32" });
  const config = { ...ocrConfig, text: { ...ocrConfig.text, vocabSize: tokenizer.vocabSize } };
  const parts = { config, tokenizer, pool, generation, drafts: new DraftCounts(), videoPruning: 0.5 };
  const resolved = resolveGeneration({ maxTokens: 1 }, generation, { ...config.text, tokenizer });
  const visionItems = [{ embeddings: new Float32Array(0) }];
  const request = new GenerationRequest(parts, { layout: whole, history: [], visionItems }, resolved);
  assert.equal([request.promptTokens, request.tokensToRead, request.promptSizes.features], [8, 8, 6]);
  assert.equal(request.pruning, { media: whole.media, rate: 0.5 });
  assert.throws(() => request.nextSlice(100), /before it was known which are left of its videos/);
  const range = { firstRow: FIRST_FEATURE, rows: 6, release: () => {} } as unknown as FeatureRange;
  request.takeFeatures({ range, kept: [[1, 1, 0, 0, 0, 1]] });
  assert.is(request.pruning, null);
  const slice = request.nextSlice(100);
  const left = [0, 1, 2, 3, 6, 8, 9, 10];
  assert.equal(slice.inputIds, left);
  const sources = [0, 1, 5].map((feature) => FIRST_FEATURE + feature);
  assert.equal([...(slice.features?.sources ?? [])], sources);
  const axis = [...whole.positionIds[2]].filter((_, row) => left.includes(row));
  assert.equal([...slice.positionIds[2]], axis);
  request.accept(run(slice, 20));
  assert.equal(request.result().usage, {
    promptTokens: 8,
    visionTokens: 3,
    completionTokens: 1,
    cachedTokens: 0,
  });
});

test("the end-of-sequence token and a stop string end it", () => {
  const ended = open();
  ended.request.accept(run(ended.request.nextSlice(100), EOS));
  assert.equal([ended.request.finished, ended.request.result().finishReason], [true, "stop"]);
  const [id] = tokenizer.encode("X") as [number];
  const stopped = open({ stop: "X" });
  const [piece] = stopped.request.accept(run(stopped.request.nextSlice(100), id));
  assert.equal([piece?.text, stopped.request.result().text, stopped.request.finished], ["", "", true]);
});

test("a special token ends it by its text or its id, an ordinary one by its id, without a text", () => {
  const special = tokenizer.idOf("<|user|>") as number;
  const [ordinary] = tokenizer.encode("X") as [number];
  for (const [options, id] of [
    [{ stop: "<|user|>" }, special],
    [{ stop: ["x<|user|>", "<|user|>"] }, special],
    [{ stopTokenIds: [special] }, special],
    [{ stopTokenIds: [3, ordinary] }, ordinary],
  ] as const) {
    const { request } = open(options);
    const [piece] = request.accept(run(request.nextSlice(100), id));
    assert.equal([piece?.text, request.result().text, request.result().finishReason], ["", "", "stop"]);
    const other = open(options).request;
    other.accept(run(other.nextSlice(100), ordinary + 1));
    assert.not(other.finished);
  }
  for (const stopTokenIds of [[-1], [1.5], ["3"], 3, [1e9], new Array(2)]) {
    assert.throws(
      () => open({ stopTokenIds } as unknown as GenerateOptions),
      (error: GlimtError) => error.code === "OPTION_INVALID" && /stopTokenIds/.test(error.message),
    );
  }
});

test("a checkpoint that names no end has that of its tokenizer", () => {
  const eos = tokenizer.idOf(tokenizer.specialTokens.eos_token as string);
  assert.equal(withTokenizersEnd({ ...generation, eosTokenIds: [] }, tokenizer).eosTokenIds, [eos]);
  assert.equal(withTokenizersEnd(generation, tokenizer).eosTokenIds, [EOS]);
  const unnamed = { ...tokenizer, specialTokens: {} };
  assert.equal(withTokenizersEnd({ ...generation, eosTokenIds: [] }, unnamed).eosTokenIds, []);
});

test("releasing gives back pages and features, whenever it comes", () => {
  const { request, pool, released } = open();
  run(request.nextSlice(5), 0);
  request.release();
  assert.is(pool.numFreePages, pool.numPages);
  assert.is(released(), 1);
  request.release();
  assert.is(released(), 1);
});

test("memory that runs out in the middle of an answer is said with how far it came, and what to lower", () => {
  const { request } = open({ maxTokens: 50 });
  const full = new GlimtError("OUT_OF_MEMORY", "4 MiB of 16 MiB are left (maxMemory).");
  assert.is(request.outgrown(full), full, "nothing was answered yet");
  for (let count = 0; count < 2; ) {
    count += request.accept(run(request.nextSlice(100), 1)).length;
  }
  const error = request.outgrown(full);
  assert.is(error.code, "OUT_OF_MEMORY");
  assert.match(
    error.message,
    /after 2 of at most 50 tokens behind 14 of the prompt: lower maxTokens.*maxMemory/,
  );
  assert.is(error.cause, full);
});

test.run();
