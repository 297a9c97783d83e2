/** Steps of several sequences: whose tokens and logits come back, and how many bytes that takes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Engine } from "../../src/backends/backend.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { createWasmBackend } from "../../src/backends/wasm/backend.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { MODEL_CONFIGS, ocrConfig } from "../../src/conformance/model-configs.ts";
import { openSeededStages } from "../../src/conformance/seeded-stages.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { answerOf, type SequenceSlice, type SliceResult } from "../../src/runtime/decoder.ts";
import { Sequence } from "../../src/runtime/kv-pool.ts";
import { GREEDY, type SamplingRow } from "../../src/runtime/sampling-rows.ts";
import { maskOf } from "../../src/serving/masks.ts";
import { openSeeded, picture, picturePrompt, prompt } from "./seeded-stages.ts";

const [config] = Object.values(MODEL_CONFIGS) as [ModelConfig];
const { vocabSize } = config.text;

/** The stages on the reference backend, and a count of the bytes that came from the device. */
async function open() {
  const backend: Backend = createReferenceBackend("f32");
  let bytes = 0;
  const counting: Backend = {
    ...backend,
    async open(options) {
      const engine: Engine = await backend.open(options);
      const read = engine.read.bind(engine);
      engine.read = async (...args) => {
        const data = await read(...args);
        bytes += data.byteLength;
        return data;
      };
      const run = engine.run.bind(engine);
      engine.run = async (executable, bindings, options) => {
        await run(executable, bindings, options);
        for (const { kind, name } of executable.program.buffers) {
          const bound = bindings.buffers[name];
          if (kind === "output" && ArrayBuffer.isView(bound)) bytes += bound.byteLength;
        }
      };
      return engine;
    },
  };
  const stages = await openSeededStages(counting, config, "f32");
  const bytesOf = async <T>(task: () => Promise<T>): Promise<[T, number]> => {
    const before = bytes;
    const result = await task();
    return [result, bytes - before];
  };
  return { ...stages, bytesOf };
}

/** What the slices that asked got, in their order. */
function gathered(results: readonly SliceResult[]) {
  const answers = results.map(answerOf);
  return {
    logits: answers.flatMap(({ logits }) => logits),
    tokens: answers.flatMap(({ tokens }) => tokens),
  };
}

function argmax(values: Float32Array): number {
  return values.indexOf(Math.max(...values));
}

test("a step of 64 sequences reads back a token each, and logits only where they are asked for", async () => {
  const { decoder, pool, engine, bytesOf } = await open();
  const slices = Array.from(
    { length: 64 },
    (_, index): SequenceSlice => ({
      sequence: new Sequence(pool),
      inputIds: [index % vocabSize],
      positionIds: textPositions(0, 1, 0),
    }),
  );
  const step = (extra: (index: number) => Partial<SequenceSlice>) =>
    bytesOf(async () => {
      for (const { sequence } of slices) sequence.length = 0;
      return gathered(await decoder.forward(slices.map((slice, index) => ({ ...slice, ...extra(index) }))));
    });
  const [all, allBytes] = await step(() => ({ wantsLogits: true, sampling: [GREEDY] }));
  assert.is(allBytes, 64 * (4 * vocabSize + 4));
  assert.equal(all.tokens, all.logits.map(argmax));
  assert.ok(new Set(all.tokens).size > 1);

  const [tokens, tokenBytes] = await step(() => ({ sampling: [GREEDY] }));
  assert.is(tokenBytes, 256);
  assert.equal(tokens, { logits: [], tokens: all.tokens });

  // Some want their logits, some a token, some both, some nothing: each gets its own.
  const [mixed] = await step((index) => ({
    wantsLogits: index % 4 === 1 || index % 4 === 3,
    sampling: index % 4 > 1 ? [GREEDY] : undefined,
  }));
  assert.equal(
    mixed.logits,
    all.logits.filter((_, index) => index % 2 === 1),
  );
  assert.equal(
    mixed.tokens,
    all.tokens.filter((_, index) => index % 4 > 1),
  );

  const [nothing, noBytes] = await step(() => ({}));
  assert.equal(nothing, { logits: [], tokens: [] });
  assert.is(noBytes, 0);
  engine.dispose();
});

function penalised(tokens: readonly number[], penalty: number): SamplingRow {
  const values = Float32Array.from(tokens.flatMap(() => [penalty, 0]));
  return { ...GREEDY, adjustments: { changes: [{ ids: Int32Array.from(tokens), values }], mask: null } };
}

test("each sequence is sampled by its own settings", async () => {
  const { decoder, pool, engine } = await open();
  const slice = (sampling: readonly SamplingRow[]): SequenceSlice => ({
    sequence: new Sequence(pool),
    inputIds: [5],
    positionIds: textPositions(0, 1, 0),
    wantsLogits: true,
    sampling,
  });
  const everything = Array.from({ length: vocabSize }, (_, token) => token);
  const [first] = gathered(await decoder.forward([slice([GREEDY])])).tokens as [number];
  const results = await decoder.forward([
    // Hot enough to be uniform.
    ...[1e9, 2e9, 3e9].map((draw) => slice([{ settings: [1e6, 1, 0], choices: [0, draw] }])),
    // The best is penalised out of the way; all are penalised alike; one alone is left.
    slice([penalised([first], 1e6)]),
    slice([penalised(everything, 2)]),
    slice([GREEDY]),
    slice([{ ...GREEDY, adjustments: { changes: [], mask: maskOf([11], vocabSize) } }]),
  ]);
  const { tokens, logits } = gathered(results);
  assert.is(new Set(tokens.slice(0, 3)).size, 3);
  const others = (logits[0] as Float32Array).slice();
  const best = others[first] as number;
  others[first] = best > 0 ? best / 1e6 : best * 1e6;
  assert.equal(tokens.slice(3), [argmax(others), first, first, 11]);
  engine.dispose();
});

test("rows of a slice are chosen by themselves, as if its tokens were read one by one; a sequence that is set back reads others in their place", async () => {
  for (const backend of [createReferenceBackend("f32"), createWasmBackend()]) {
    const { decoder, pool, engine } = await openSeeded(backend);
    const rows = [4, 7, 9].map(
      (token): SamplingRow => ({
        ...penalised([token], 1.2),
        settings: [1, 0.9, 0],
        choices: [0, token * 4e8],
      }),
    );
    const read = async (
      sequence: Sequence,
      inputIds: number[],
      sampling?: SequenceSlice["sampling"],
      company: SequenceSlice[] = [],
    ) => {
      const positionIds = textPositions(sequence.length, inputIds.length, 0);
      const slice = { sequence, inputIds, positionIds, sampling, wantsLogits: true };
      return answerOf((await decoder.forward([...company, slice]))[company.length]);
    };
    const one = new Sequence(pool);
    await read(one, [1, 2]);
    const expected = [];
    for (const [index, id] of [3, 4, 5].entries()) expected.push(await read(one, [id], [rows[index]!]));
    const many = new Sequence(pool);
    await read(many, [1, 2, 6]);
    // The third token was wrong.
    many.length = 2;
    const answer = await read(many, [3, 4, 5], rows, [prompt(pool, 5)]);
    assert.equal(
      answer.tokens,
      expected.map(({ tokens }) => tokens[0]),
      backend.name,
    );
    assert.equal(
      answer.logits,
      expected.map(({ logits }) => logits[0]),
      backend.name,
    );
    const last = new Sequence(pool);
    assert.equal((await read(last, [1, 2, 3, 4, 5], rows.slice(1))).tokens, answer.tokens.slice(1));
    engine.dispose();
  }
});

test("a slice of nothing, and two slices of one sequence, are refused before anything is taken", async () => {
  const { decoder, pool, engine } = await open();
  const [first, second] = [prompt(pool, 3), prompt(pool, 2)];
  for (const [slices, message] of [
    [[first, { ...second, inputIds: [], positionIds: textPositions(0, 0, 0) }], /no tokens/],
    [[first, { ...second, sequence: first.sequence }], /two slices of one sequence/],
    [[first, { ...second, sampling: [GREEDY, GREEDY, GREEDY] }], /more rows to choose by than tokens/],
  ] as const) {
    const error = await decoder.forward(slices).then(
      () => assert.unreachable(),
      (error) => error,
    );
    assert.match(error.message, message);
    assert.is(pool.numPages, 0);
  }
  engine.dispose();
});

test("what stays from step to step is bound once, and anew when the cache or the logits have moved", async () => {
  const { decoder, pool, engine, encoder } = await openSeeded(createReferenceBackend("f32"));
  const bound: string[][] = [];
  const passed: string[][] = [];
  const { bind, run } = engine;
  engine.bind = (executable, resident) => {
    bound.push(Object.keys(resident).sort());
    bind.call(engine, executable, resident);
  };
  engine.run = (executable, bindings, options) => {
    passed.push(Object.keys(bindings.buffers).sort());
    return run.call(engine, executable, bindings, options);
  };
  const first = prompt(pool, 3);
  const step = async (...slices: SequenceSlice[]) => {
    (await decoder.forward(slices)).forEach(answerOf);
    return bound.length;
  };
  const next = { ...first, inputIds: [1], positionIds: textPositions(3, 1, 0) };
  assert.is(await step(first), 1);
  const caches = Array.from({ length: ocrConfig.text.numHiddenLayers }, (_, layer) => `kv.${layer}`);
  assert.equal(bound[0], ["features", ...caches, "logits"]);
  for (let count = 0; count < 3; count++) assert.is(await step(next), 1, "nothing has moved");
  assert.ok(passed.every((names) => names.every((name) => !bound[0]?.includes(name))));
  assert.is(await step(prompt(pool, 40)), 2, "the cache has grown");
  assert.is(await step(next, prompt(pool, 1)), 3, "there are more logits");
  assert.is(await step(next), 3);
  const features = await encoder.encode([picture([1, 2, 2], "a")]);
  assert.is(await step(picturePrompt(pool, [features])), 3);
  assert.ok(passed.at(-1)?.includes("features"), "a step with pictures brings the slab");
  features.release();
  assert.is(await step(next), 3);
  engine.dispose();
});

test.run();
