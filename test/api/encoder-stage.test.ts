/** The vision tower on devices of its own: it encodes while the others decode, and answers are those of one device. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn, openModelOn } from "../../src/api/load-model.ts";
import { LoadedModel } from "../../src/api/loaded-model.ts";
import type { Backend } from "../../src/backends/backend.ts";
import type { GroupEngine } from "../../src/backends/group/group-engine.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { GlimtError } from "../../src/errors.ts";
import type { LoadOptions, Message, Model, VideoSource } from "../../src/index.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { type AroundRun, faultyRank, runsThrough } from "../backends/runs-through.ts";

const DEMO = "examples/demo/checkpoint";
const OCR = "test/golden/data/glm_ocr-tiny";
const TOWER = { encoder: "stage" } as const;
/** The rank that encodes, behind one that decodes. */
const ENCODER = 1;

const ask = (picture?: string): Message[] => [
  {
    role: "user",
    content: [
      ...(picture ? [{ type: "image" as const, image: `examples/demo/pictures/${picture}.png` }] : []),
      { type: "text", text: "Text Recognition:" },
    ],
  },
];

function load(backend: Backend, options: LoadOptions = {}, directory = DEMO): Promise<Model> {
  const load = { parallel: TOWER, ...options };
  return loadModelOn({ ...nodeFiles, backends: [backend] }, directory, load);
}

const read = async (model: Model, picture?: string) =>
  (await model.complete(ask(picture), { maxTokens: 60 })).tokenIds;

async function readAlone(...pictures: (string | undefined)[]): Promise<(readonly number[])[]> {
  const model = await load(wasmBackend, { parallel: undefined, threads: 1 });
  const answers = await Promise.all(pictures.map((picture) => read(model, picture)));
  await model.dispose();
  return answers;
}

function gate() {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

async function failure(action: Promise<unknown>): Promise<GlimtError> {
  try {
    await action;
  } catch (error) {
    assert.instance(error, GlimtError, String(error));
    return error as GlimtError;
  }
  return assert.unreachable("expected an error") as never;
}

for (const backend of [referenceBackend, wasmBackend]) {
  test(`${backend.name}: the tower runs while another request is decoded, and who comes meanwhile is read`, async () => {
    const expected = await readAlone("receipt", "hello", "lines", undefined);
    const events: string[] = [];
    const begun = gate();
    const decoded = gate();
    const noting: AroundRun = async (run, { rank }) => {
      // What is read first is encoded while nothing is decoded.
      const isHeld = rank === ENCODER && events.length > 0;
      if (isHeld) {
        events.push("tower begins");
        begun.open();
      }
      await (isHeld ? Promise.all([run(), decoded.opened]) : run());
      events.push(isHeld ? "tower ends" : "run");
    };
    const model = await load(runsThrough(backend, noting));
    const others: Promise<readonly number[]>[] = [];
    let tokens = 0;
    const answer = model.generate(ask("receipt"), { maxTokens: 60 });
    for await (const _ of answer) {
      if (++tokens === 1) {
        others.push(read(model, "hello"));
        await begun.opened;
        // More with pictures and without, while the tower runs.
        others.push(read(model, "lines"), read(model));
      }
      if (tokens === 6) decoded.open();
    }
    // A tower that waits for what it does not run beside would wait for ever.
    decoded.open();
    assert.equal([(await answer.result).tokenIds, ...(await Promise.all(others))], expected);
    const beside = events.slice(events.indexOf("tower begins") + 1, events.indexOf("tower ends"));
    assert.ok(beside.length >= 3, events.join());
    await model.dispose();
    assert.is(model.liveBytes, 0);
  });
}

test("a request that is aborted while its picture is encoded leaves the others alone", async () => {
  const [words, hello] = await readAlone(undefined, "hello");
  const stop = new AbortController();
  const aborting: AroundRun = async (run) => {
    stop.abort();
    await run();
  };
  const model = await load(faultyRank(wasmBackend, ENCODER, aborting));
  const aborted = failure(model.complete(ask("lines"), { signal: stop.signal }));
  assert.equal(await read(model), words);
  assert.is((await aborted).code, "ABORTED");
  assert.equal(await read(model, "hello"), hello);
  await model.dispose();
});

test("a tower that lacks memory runs again when what is kept was given back", async () => {
  const [words, hello] = await readAlone(undefined, "hello");
  const full: AroundRun = async () => {
    throw new GlimtError("OUT_OF_MEMORY", "planted");
  };
  const model = await load(faultyRank(wasmBackend, ENCODER, full));
  const answers = await Promise.all([read(model), read(model, "hello")]);
  assert.equal(answers, [words, hello]);
  await model.dispose();
});

const FAULTS: readonly (readonly [string, AroundRun, RegExp])[] = [
  [
    "ends",
    (run, { engine }) => {
      engine.dispose();
      return run();
    },
    /disposed of/,
  ],
  ["hangs", () => new Promise(() => {}), /No rank of the group has made progress for 300 ms/],
];

for (const [what, fault, message] of FAULTS) {
  test(`a rank of the tower that ${what} while others are decoded fails the group, which is freed and opened again`, async () => {
    const backend = faultyRank(wasmBackend, ENCODER, fault);
    const timeout = what === "hangs" ? 300 : undefined;
    const model = await load(backend, { parallel: { ...TOWER, timeout } });
    // Others go on without end: what stands still is the tower.
    let ended = false;
    const talk = async () => {
      while (!ended) await read(model);
    };
    const talking = failure(talk());
    const error = await failure(model.complete(ask("hello"))).finally(() => {
      ended = true;
    });
    assert.is(error.code, "GROUP_FAILED");
    assert.match(error.message, message);
    assert.is((await talking).code, "GROUP_FAILED");
    assert.is(model.liveBytes, 0);
    assert.is(await failure(model.complete(ask())), error);
    await model.dispose();
    const again = await load(backend);
    assert.equal(await read(again, "hello"), (await readAlone("hello"))[0]);
    await again.dispose();
  });
}

test("two devices for the tower share pictures; features, videos and pruned ones are those of one device", async () => {
  const video: VideoSource = "test/golden/data/videos/walk";
  const pictures = ["hello", "lines", "numbers"].map((name) => `examples/demo/pictures/${name}.png`);
  const image = { type: "image" as const, image: "test/golden/data/images/small.png" };
  const messages: Message[] = [
    {
      role: "user",
      content: [{ type: "video", video }, image, image, { type: "text", text: "What happens?" }],
    },
  ];
  const facts = async (options: LoadOptions) => {
    const model = await load(referenceBackend, options, OCR);
    const asked = { maxTokens: 4, sampleFrames: false, repetitionPenalty: 1 };
    const images = await model.encodeImages(pictures);
    const [pruned] = await model.encodeVideos([video]);
    const { tokenIds, topLogits, usage } = await model.complete(messages, asked);
    const again = await model.complete(messages, { ...asked, cacheSalt: "other" });
    assert.equal(again.tokenIds, tokenIds);
    await model.trimMemory();
    const given = await model.complete(
      [{ role: "user", content: images.map((kept) => ({ type: "image", image: kept })) }] as Message[],
      asked,
    );
    await model.dispose();
    return { images, pruned, tokenIds, topLogits, usage, given: given.topLogits };
  };
  for (const videoPruning of [0, 0.6]) {
    const options = { videoPruning, media: "huggingface" } as const;
    const alone = await facts({ ...options, parallel: undefined });
    const shared = await facts({ ...options, devices: [0, 1, 2], parallel: { ...TOWER, tensor: 1 } });
    assert.equal(shared, alone);
  }
});

test("the ranks' plans: the tower's bytes are on its own rank, and what it gives to others is counted", async () => {
  const whole = await load(referenceBackend, { parallel: undefined, mtp: false });
  const platform = { ...nodeFiles, backends: [referenceBackend] };
  const opened = await openModelOn(platform, DEMO, { parallel: { ...TOWER, pipeline: 2 } });
  const model = new LoadedModel(opened.core, opened.processor, opened.facts);
  const engine = opened.core.parts.engine as GroupEngine;
  assert.match(engine.report.description, /^3 devices \(tensor 1, pipeline 2, 1 for the encoder\): /);
  const sizes = { images: [{ width: 224, height: 28 }], text: "Text Recognition:" };
  const [first, second, tower] = (await model.plan(sizes)).ranks ?? [];
  assert.ok(first && second && tower);
  assert.is(first.visionActivationBytes, 0);
  assert.is(tower.kvCacheBytes + tower.decoderActivationBytes + tower.logitBytes, 0);
  assert.equal(tower.communication.prefill, []);
  assert.is(
    [first, second, tower].reduce((sum, { weightBytes }) => sum + weightBytes, 0),
    (await whole.plan(sizes)).weightBytes,
  );
  await read(model, "hello");
  const [given] = tower.communication.encode;
  assert.is(given?.op, "spread");
  assert.equal(engine.traffic[2], { operations: given?.operations, bytes: given?.bytes });
  await Promise.all([model.dispose(), whole.dispose()]);
  assert.is(engine.liveBytes, 0);
});

test("a model without a vision tower is refused", async () => {
  const file = "test/golden/data/gguf/glm4v-tiny.gguf";
  const error = await failure(load(referenceBackend, {}, file));
  assert.is(error.code, "OPTION_INVALID");
  assert.match(error.message, /parallel.encoder is "stage", and this model has no vision tower/);
});

test.run();
