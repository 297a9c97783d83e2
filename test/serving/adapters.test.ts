/** LoRA adapters on whole models, held against PEFT's logits and tokens on the same checkpoints (make_lora.py). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError, type LoadOptions, loadModel, type Message, type Model } from "../../src/index.ts";
import { goldenCase, goldenDataDir } from "../golden/load.ts";
import {
  adapterAt,
  adaptersOf,
  answer,
  assertTokens,
  compareWithPeft,
  named,
  type Run,
  runsOf,
  worst,
} from "./adapter-runs.ts";

const BACKENDS = ["wasm", "reference"] as const;
const CHECKPOINTS = ["glm4v-tiny", "glm_ocr-tiny", "glm46v-flash-tiny", "glm4v_moe-tiny"] as const;
const MERGED = ["glm4v-tiny", "glm_ocr-tiny"] as const;
const NAMES = ["language", "vision", "both"] as const;
function load(checkpoint: string, options: LoadOptions = {}): Promise<Model> {
  return loadModel(join(goldenDataDir, checkpoint), { media: "huggingface", ...options });
}

async function failure(action: () => Promise<unknown>): Promise<GlimtError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof GlimtError) return error;
    throw error;
  }
  throw new Error("no error");
}

for (const checkpoint of CHECKPOINTS) {
  for (const backend of BACKENDS) {
    test(`${checkpoint} on ${backend}: logits and tokens of adapters are PEFT's`, async () => {
      const model = await load(checkpoint, { backend, adapters: adaptersOf(checkpoint) });
      const difference = await compareWithPeft(model, checkpoint);
      assert.ok(difference < 1e-3, `logits differ by ${difference}`);
      await model.dispose();
      assert.is(model.liveBytes, 0);
    });
  }
}

const checkpoint = "glm4v-tiny";
const picture = goldenCase(checkpoint, "one-image");
const all = NAMES.map((name) => adapterAt(checkpoint, name));
const together = runsOf(checkpoint).find((run) => run.adapters.length === 3 && run.case === "one-image")!;

function runFor(names: readonly string[], name = "one-image"): Run {
  return runsOf(checkpoint).find(
    (run) => run.case === name && run.adapters.map((adapter) => adapter.name).join() === names.join(),
  )!;
}

for (const backend of BACKENDS) {
  for (const name of MERGED) {
    test(`${name} on ${backend}: merged into the weights, adapters give what they give at run time`, async () => {
      const golden = goldenCase(name, "one-image");
      const run = runsOf(name).find(
        ({ adapters, ...rest }) => adapters.length === 3 && rest.case === "one-image",
      )!;
      const sources = run.adapters.map(({ name: adapter, scale }) => ({
        ...adapterAt(name, adapter),
        scale,
      }));
      const merged = sources.map((source) => ({ ...source, merge: true }));
      const separate = await load(name, { backend, dtype: "f32", adapters: sources });
      const whole = await load(name, { backend, dtype: "f32", adapters: merged });
      const [one, other] = [await answer(separate, golden, run.adapters), await answer(whole, golden, [])];
      const logits = new Map(other.topLogits);
      assert.ok(worst(one.topLogits, (token) => logits.get(token)!) < 1e-4);
      assert.equal(other.tokenIds, one.tokenIds);
      assertTokens(other.tokenIds, run, named(run));
      assert.equal(
        whole.adapters.map((facts) => [facts.name, facts.merged]),
        NAMES.map((adapter) => [adapter, true]),
      );
      await separate.dispose();
      await whole.dispose();
    });
  }
}

test("merged weights keep the checkpoint's type", async () => {
  const [plain, merged] = [await load("glm_ocr-tiny"), await loadMerged("glm_ocr-tiny")];
  assert.is(merged.dtype, "bf16");
  assert.is(merged.liveBytes, plain.liveBytes);
  await plain.dispose();
  await merged.dispose();
});

function loadMerged(name: string): Promise<Model> {
  return load(name, { adapters: [{ ...adapterAt(name, "language"), merge: true }] });
}

test("adapters are off unless a request names them; a scale of 0 is off", async () => {
  const model = await load(checkpoint, { adapters: all });
  const plain = goldenCase(checkpoint, "one-image");
  for (const adapters of [undefined, [], [{ name: "language", scale: 0 }]]) {
    const { tokenIds } = await model.complete(await model.process(picture.messages as Message[]), {
      maxTokens: 24,
      adapters,
    });
    assert.equal(tokenIds, plain.tokenIds);
  }
  await model.dispose();
});

test("an adapter's own scale is the default, in any order of the request", async () => {
  const model = await load(checkpoint);
  for (const { name, scale } of together.adapters)
    await model.loadAdapter({ ...adapterAt(checkpoint, name), scale });
  const inputs = await model.process(picture.messages as Message[]);
  for (const adapters of [NAMES, [...NAMES].reverse()]) {
    const { tokenIds } = await model.complete(inputs, { maxTokens: 24, adapters });
    assertTokens(tokenIds, together, adapters.join());
  }
  await model.dispose();
});

for (const backend of BACKENDS) {
  test(`on ${backend}: requests with different adapters run side by side`, async () => {
    const model = await load(checkpoint, { backend, adapters: all });
    const runs = runsOf(checkpoint);
    const results = await Promise.all(
      runs.map((run) => answer(model, goldenCase(checkpoint, run.case), run.adapters)),
    );
    runs.forEach((run, index) => {
      assertTokens(results[index]!.tokenIds, run, named(run));
    });
    await model.dispose();
  });

  test(`on ${backend}: an adapter takes the memory of its matrices, and unloading gives it back`, async () => {
    // What is kept for later requests would be counted too.
    const keepsLeast = { encoderCacheBytes: 0, kvCache: { bytes: 0 } };
    const model = await load(checkpoint, { backend, encoderTokenBudgets: [64], ...keepsLeast });
    // The pool and the scratch memory of a run are there from the first answer on.
    await answer(model, picture, []);
    const passing = async () => {
      await model.loadAdapter(adapterAt(checkpoint, "vision"));
      await answer(model, picture, [{ name: "vision", scale: 1 }]);
      await model.unloadAdapter("vision");
      return model.liveBytes;
    };
    const before = await passing();
    assert.is(await passing(), before);
    await model.loadAdapter(adapterAt(checkpoint, "language"));
    const file = readFileSync(join(adapterAt(checkpoint, "language").location, "adapter_model.safetensors"));
    const grown = model.liveBytes - before;
    // Packed in tiles of rows, a matrix of rank 4 takes the room of 8 rows.
    assert.ok(grown > 0.8 * file.length && grown < 2 * file.length, `${grown} bytes for ${file.length}`);
    for (const scale of [1, 0.5]) await answer(model, picture, [{ name: "language", scale }]);
    await model.unloadAdapter("language");
    assert.is(model.liveBytes, before);
    assert.equal(model.adapters, []);
    await model.dispose();
  });
}

test("features encoded with an adapter stand in for the picture", async () => {
  const model = await load(checkpoint, { adapters: all });
  const [message] = picture.messages as { content: { type: string; image?: string }[] }[];
  const sources = message!.content.flatMap(({ image }) => image ?? []);
  const [features] = await model.encodeImages(sources, { adapters: ["vision"] });
  const content = message!.content.map((part) =>
    part.type === "image" ? { ...part, image: features } : part,
  );
  const { tokenIds } = await model.complete([{ role: "user", content }] as Message[], {
    maxTokens: 24,
    adapters: ["vision"],
  });
  assertTokens(tokenIds, runFor(["vision"]), "encoded before");
  await model.dispose();
});

test("unloaded under way, an adapter serves its request to the end and is gone then", async () => {
  const model = await load(checkpoint, { encoderCacheBytes: 0, kvCache: { bytes: 0 } });
  await answer(model, picture, []);
  const inputs = await model.process(picture.messages as Message[]);
  await model.loadAdapter(adapterAt(checkpoint, "language"));
  await model.complete(inputs, { maxTokens: 2, adapters: ["language"] });
  await model.unloadAdapter("language");
  const before = model.liveBytes;
  await model.loadAdapter(adapterAt(checkpoint, "language"));
  const pieces = model.generate(inputs, { maxTokens: 24, adapters: ["language"] });
  const ids = [(await pieces.next()).value as { tokenId: number }];
  await model.unloadAdapter("language");
  assert.is((await failure(() => model.complete(inputs, { adapters: ["language"] }))).code, "OPTION_INVALID");
  // Another one may take the name at once.
  await model.loadAdapter({ ...adapterAt(checkpoint, "vision"), name: "language" });
  for await (const piece of pieces) ids.push(piece);
  assertTokens(
    ids.map(({ tokenId }) => tokenId),
    runFor(["language"]),
    "unloaded under way",
  );
  const { tokenIds } = await model.complete(inputs, { maxTokens: 24, adapters: ["language"] });
  assertTokens(tokenIds, runFor(["vision"]), "the one that took its name");
  await model.unloadAdapter("language");
  assert.is(model.liveBytes, before);
  await model.dispose();
});

test("an adapter that is unloaded right behind a call serves that call; an unknown one is refused before pictures are read", async () => {
  const model = await load(checkpoint, { adapters: [adapterAt(checkpoint, "language")] });
  const options = { maxTokens: 24, repetitionPenalty: 1, adapters: ["language"] };
  const answered = model.complete(picture.messages as Message[], options);
  await model.unloadAdapter("language");
  assertTokens((await answered).tokenIds, runFor(["language"]), "unloaded behind the call");
  const content = [{ type: "image" as const, image: "nowhere.png" }];
  const { message } = await failure(() => model.complete([{ role: "user", content }], options));
  assert.match(message, 'no adapter "language"');
  const encode = () => model.encodeImages(["nowhere.png"], { adapters: ["language"] });
  assert.match((await failure(encode)).message, 'no adapter "language"');
  // A prompt that is refused keeps no adapter.
  await model.trimMemory();
  const before = model.liveBytes;
  await model.loadAdapter(adapterAt(checkpoint, "language"));
  assert.is((await failure(() => model.complete([], options))).code, "INPUT_INVALID");
  assert.is((await failure(encode)).code, "IMAGE_INVALID");
  await model.unloadAdapter("language");
  assert.is(model.liveBytes, before);
  await model.dispose();
});

test("sets that are no longer asked for make room for new ones", async () => {
  const model = await load(checkpoint, { adapters: all });
  const inputs = await model.process([{ role: "user", content: "Hello?" }]);
  const ask = (scale: number) =>
    model.complete(inputs, { maxTokens: 1, adapters: [{ name: "language", scale }] });
  const bytes: number[] = [];
  for (let step = 1; step <= 24; step++) {
    await ask(step / 8 + 2);
    bytes.push(model.liveBytes);
  }
  assert.is(bytes.at(-1), bytes.at(-2));
  assert.ok(bytes[1]! > bytes[0]!);
  await model.dispose();
});

test("facts about what is loaded", async () => {
  const model = await load(checkpoint, { adapters: [all[0]!, { ...all[1]!, merge: true, scale: 2 }] });
  await model.loadAdapter(all[2]!);
  const facts = model.adapters.map(({ location: _, ...rest }) => rest);
  assert.equal(facts, [
    { name: "vision", scale: 2, merged: true, modules: 16, parts: ["tower", "connector"], largestRank: 3 },
    { name: "language", scale: 1, merged: false, modules: 18, parts: ["language"], largestRank: 4 },
    {
      name: "both",
      scale: 1,
      merged: false,
      modules: 11,
      parts: ["language", "tower", "connector"],
      largestRank: 5,
    },
  ]);
  await model.dispose();
});

test("what does not fit is refused by name, and the model stays usable", async () => {
  const model = await load(checkpoint, { adapters: [all[0]!, { ...all[1]!, merge: true }] });
  const inputs = await model.process(picture.messages as Message[]);
  const ask = (adapters: unknown) => model.complete(inputs, { maxTokens: 1, adapters: adapters as string[] });
  const cases: [string, RegExp, () => Promise<unknown>][] = [
    ["OPTION_INVALID", /no adapter "other"; loaded are language\./, () => ask(["other"])],
    ["OPTION_INVALID", /"vision" is merged/, () => ask(["vision"])],
    ["OPTION_INVALID", /"language" twice/, () => ask(["language", { name: "language", scale: 2 }])],
    ["OPTION_INVALID", /scale is NaN/, () => ask([{ name: "language", scale: Number.NaN }])],
    ["OPTION_INVALID", /has no option "weight"/, () => ask([{ name: "language", weight: 2 }])],
    ["OPTION_INVALID", /must be a list/, () => ask("language")],
    ["OPTION_INVALID", /there already/, () => model.loadAdapter(all[0]!)],
    ["OPTION_INVALID", /there already/, () => model.loadAdapter(all[1]!)],
    [
      "OPTION_INVALID",
      /has no option "merge"/,
      () => model.loadAdapter({ ...all[2]!, merge: true } as never),
    ],
    ["OPTION_INVALID", /needs a name/, () => model.loadAdapter({ name: "", location: "x" })],
    ["OPTION_INVALID", /no adapter "other"/, () => model.unloadAdapter("other")],
    ["OPTION_INVALID", /"vision" is merged/, () => model.unloadAdapter("vision")],
    [
      "CHECKPOINT_NOT_FOUND",
      /no adapter_config\.json/,
      () => model.loadAdapter({ name: "x", location: picture.checkpointDir }),
    ],
    [
      "ADAPTER_INVALID",
      /does not fit Glm4vForConditionalGeneration. It was made for GlmOcrForConditionalGeneration. model\.language_model\.layers\.0\.mlp\.down_proj is \[64, 96\] here/,
      () => model.loadAdapter({ ...adapterAt("glm_ocr-tiny", "language"), name: "x" }),
    ],
    [
      "ADAPTER_INVALID",
      /does not fit/,
      () => load(checkpoint, { adapters: [{ ...adapterAt("glm_ocr-tiny", "language"), merge: true }] }),
    ],
    [
      "ADAPTER_INVALID",
      /lm_head, which is the embedding/,
      () =>
        load("glm46v-flash-tiny", { adapters: [{ ...adapterAt("glm46v-flash-tiny", "both"), merge: true }] }),
    ],
    ["OPTION_INVALID", /two of the name/, () => load(checkpoint, { adapters: [all[0]!, all[0]!] })],
  ];
  const before = model.liveBytes;
  for (const [code, message, act] of cases) {
    const error = await failure(act);
    assert.is(error.code, code, `${message}: ${error.message}`);
    assert.match(error.message, message);
  }
  assert.is(model.liveBytes, before);
  const { tokenIds } = await model.complete(inputs, { maxTokens: 24, adapters: ["language"] });
  assert.is(tokenIds.length, 24);
  await model.dispose();
  assert.is((await failure(async () => model.loadAdapter(all[2]!))).code, "DISPOSED");
});

test.run();
