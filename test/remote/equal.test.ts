/** A model in a worker beside the same model on this thread: every public method gives the same, and refuses the same. */
import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GlimtError, LoadOptions, Message, Model } from "../../src/index.ts";
import { CALLED } from "../../src/remote/protocol.ts";
import { bitmap } from "../media/bitmap.ts";

const CHECKPOINT = "test/golden/data/glm_ocr-tiny";
const LORA = "test/golden/data/lora/glm_ocr-tiny/language";
const OPTIONS = { media: "huggingface", backend: "wasm", threads: 1, attention: true } as const;

/** The built package: the worker's file lies beside it. */
const { loadModel } = (await import(
  pathToFileURL("dist/index.js").href
)) as typeof import("../../src/index.ts");
const load = (worker: boolean, options: LoadOptions = {}) =>
  loadModel(CHECKPOINT, { ...OPTIONS, ...options, worker });

const picture = {
  width: 84,
  height: 56,
  data: Uint8Array.from({ length: 84 * 56 * 3 }, (_, index) => (index * 7919) % 251),
};
/** Above what is cloned at once. */
const large = {
  width: 800,
  height: 700,
  data: Uint8ClampedArray.from({ length: 800 * 700 * 4 }, (_, index) => (index * 7919) % 251),
};
const other = { ...picture, data: picture.data.map((value) => 255 - value) };
const asking = (...content: object[]) => [{ role: "user", content }] as Message[];
const question = asking({ type: "image", image: picture }, { type: "text", text: "What is it?" });
const two = asking({ type: "image", image: picture }, { type: "image", image: other });
const video = { frames: [picture, other, picture, other], metadata: { fps: 2 } };
const short = { maxTokens: 6, seed: 1, ignoreEos: true };

/** Of what a call gives the parts that are the same each time. */
function comparable(value: unknown): unknown {
  if (value instanceof Blob) return { blob: value.size };
  if (value instanceof Map) return [...value];
  if (ArrayBuffer.isView(value)) return [value.constructor.name, ...(value as Float32Array)];
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== "object" || value === null) return value;
  const others = Object.entries(value).filter(([name]) => !/milliseconds|timings/i.test(name));
  return Object.fromEntries(others.map(([name, item]) => [name, comparable(item)]));
}

type Use = (model: Model) => Promise<unknown> | unknown;

async function outcome(model: Model, use: Use): Promise<unknown> {
  try {
    return comparable(await use(model));
  } catch (error) {
    if (!(error instanceof Error)) return { thrown: error };
    const isGlimt = error.name === "GlimtError";
    return { code: isGlimt ? (error as GlimtError).code : error.name, message: error.message };
  }
}

async function events(model: Model): Promise<unknown> {
  const seen: unknown[] = [];
  const run = model.generate(question, { ...short, n: 2, temperature: 1, attention: true });
  for await (const event of run) seen.push(event);
  return [seen, await run.result];
}

const told = (use: (model: Model, onProgress: (progress: object) => void) => Promise<unknown>): Use => {
  return async (model) => {
    const stages = new Set<unknown>();
    await use(model, (progress) => stages.add((progress as { stage: string }).stage));
    return [...stages];
  };
};

/** In turn on both models. */
const USES: Readonly<Record<string, Use>> = {
  facts: ({
    dtype,
    config,
    processorConfig,
    refusedBackends,
    loaded,
    canThink,
    readsAnySource,
    backend,
    adapters,
    liveBytes,
  }) => ({
    ...{
      dtype,
      config,
      processorConfig,
      refusedBackends,
      loaded,
      canThink,
      readsAnySource,
      backend,
      adapters,
      liveBytes,
    },
  }),
  stats: (model) => model.stats(),
  process: (model) => model.process(question),
  "process of two pictures": (model) => model.process(two),
  "process of a video and a picture": (model) =>
    model.process(asking({ type: "video", video }, { type: "image", image: picture })),
  "told of pictures": told((model, onProgress) => model.process(two, { onProgress })),
  tokenize: (model) => model.tokenize("<|user|> and more"),
  detokenize: (model) => model.detokenize([5, 6, 7]),
  plan: (model) => model.plan({ images: [picture], text: "What is it?" }),
  warmUp: (model) => model.warmUp({ images: [{ width: 30, height: 30 }] }),
  complete: (model) => model.complete(question, { ...short, logprobs: true, topLogprobs: 2 }),
  "told of an answer": told((model, onProgress) => model.complete(two, { ...short, onProgress })),
  "generate, event by event": events,
  "complete of what process gave": async (model) => model.complete(await model.process(two), short),
  "complete of token ids": (model) => model.complete({ inputIds: [5, 6, 7] }, short),
  encodeImages: (model) => model.encodeImages([picture, other]),
  encodeVideos: (model) => model.encodeVideos([video]),
  "features in place of a picture": async (model) => {
    const [image] = await model.encodeImages([picture]);
    return model.complete(asking({ type: "image", image }), short);
  },
  "bytes of a part of a buffer": (model) => {
    const file = readFileSync("examples/demo/pictures/hello.png");
    const whole = new Uint8Array(file.length + 20);
    whole.set(file, 10);
    const image = whole.subarray(10, 10 + file.length);
    return model.process(asking({ type: "image", image }));
  },
  "a Blob": (model) => {
    const image = new Blob([readFileSync("examples/demo/pictures/hello.png")]);
    return model.process(asking({ type: "image", image }));
  },
  "a URL": (model) => {
    const image = pathToFileURL("examples/demo/pictures/hello.png");
    return model.process(asking({ type: "image", image }));
  },
  "an object whose fields are getters": (model) => {
    class Picture {
      get data() {
        return picture.data;
      }
      get width() {
        return picture.width;
      }
      get height() {
        return picture.height;
      }
    }
    return model.process(asking({ type: "image", image: new Picture() }));
  },
  "large pixels": (model) => model.process(asking({ type: "image", image: large })),
  "large pixels as a part of a buffer": (model) => {
    const image = { ...large, data: new Uint8ClampedArray(large.data).subarray(4 * large.width) };
    return model.process(asking({ type: "image", image: { ...image, height: large.height - 1 } }));
  },
  "a large file": (model) => model.process(asking({ type: "image", image: bitmap(900, 600).buffer })),
  "a large file as DataView": (model) =>
    model.process(asking({ type: "image", image: new DataView(bitmap(900, 600).buffer) })),
  "large floats": (model) => model.complete({ promptEmbeddings: new Float32Array(1 << 20) }),
  "sources, asked": async (model) => {
    const asked: string[] = [];
    const sources = ({ kind }: { kind: string }) => asked.push(kind) > 0;
    return [await model.process(question, { sources }), asked];
  },
  "sources that refuse": (model) =>
    model.process(asking({ type: "image", image: "examples/demo/pictures/hello.png" }), {
      sources: () => Promise.resolve(false),
    }),
  "saveSession and restoreSession": async (model) => {
    const { blob, ...facts } = await model.saveSession(question);
    return [facts, blob, await model.restoreSession(blob)];
  },
  "sessions in files": async (model) => {
    const path = join(tmpdir(), `glimt-remote-${process.pid}.session`);
    const saved = await model.saveSession(question, { path: pathToFileURL(path) });
    return [saved, existsSync(path), await model.restoreSession(path)];
  },
  loadAdapter: async (model) => {
    await model.loadAdapter({ name: "a", location: LORA });
    return model.adapters;
  },
  "complete with an adapter": (model) => model.complete(question, { ...short, adapters: ["a"] }),
  unloadAdapter: async (model) => {
    await model.unloadAdapter("a");
    return model.adapters;
  },
  trimMemory: (model) => model.trimMemory(),
  "stats of all that": (model) => model.stats(),

  "no list of messages": (model) => model.complete(5 as never),
  "a role that is none": (model) => model.complete([{ role: 5 } as never]),
  "no such option": (model) => model.complete(question, { max_tokens: 1 } as never),
  "options that are none": (model) => model.generate(question, 5 as never).next(),
  "a signal that is none": (model) => model.complete(question, { signal: 5 as never }),
  "a function as text": (model) => model.complete(asking({ type: "text", text: () => "a" })),
  "a symbol as text": (model) => model.complete(asking({ type: "text", text: Symbol("a") })),
  "a field that throws": (model) => {
    const part = Object.defineProperty({ type: "text" }, "text", {
      enumerable: true,
      get: () => {
        throw new Error("no text today");
      },
    });
    return model.complete(asking(part));
  },
  "a variable that holds itself": (model) => {
    const loop: Record<string, unknown> = {};
    loop.loop = loop;
    return model.complete(question, { templateVariables: { loop } });
  },
  "a buffer that was given away": (model) => {
    const floats = new Float32Array(8);
    structuredClone(floats.buffer, { transfer: [floats.buffer] });
    return model.complete({ promptEmbeddings: floats });
  },
  "a DataView whose buffer was given away": (model) => {
    const image = new DataView(new ArrayBuffer(8));
    structuredClone(image.buffer, { transfer: [image.buffer] });
    return model.process(asking({ type: "image", image }));
  },
  "an ArrayBuffer that was given away": (model) => {
    const image = new ArrayBuffer(8);
    structuredClone(image, { transfer: [image] });
    return model.process(asking({ type: "image", image }));
  },
  "bytes that are no picture": (model) => model.process(asking({ type: "image", image: new Uint8Array(40) })),
  "a picture that is not there": (model) => model.process(asking({ type: "image", image: "no/such.png" })),
  "sizes that are none": (model) => model.plan({ images: [{ width: 1, hight: 1 } as never] }),
  "no such adapter": (model) => model.unloadAdapter("b"),
  "an adapter that is not there": (model) => model.loadAdapter({ name: "b", location: "./no/such" }),
  "a session that is none": (model) => model.restoreSession(new Blob(["no session"])),
  "aborted before": (model) => model.complete(question, { signal: AbortSignal.abort("my reason") }),
  "an onProgress that throws": (model) =>
    model.complete(question, {
      onProgress: () => {
        throw new Error("enough");
      },
    }),

  dispose: async (model) => {
    await model.dispose();
    await model.dispose();
    return model.liveBytes;
  },
  "complete behind dispose": (model) => model.complete(question),
  "generate behind dispose": (model) => model.generate(question).next(),
  "stats behind dispose": (model) => model.stats(),
};

let here: Model;
let there: Model;
test.before(async () => {
  [here, there] = await Promise.all([load(false), load(true)]);
});

test("the model is in a worker", () => {
  assert.is(there.constructor.name, "RemoteModel");
  assert.is(here.constructor.name, "LoadedModel");
});

for (const [name, use] of Object.entries(USES)) {
  test(`the same: ${name}`, async () => {
    assert.equal(await outcome(there, use), await outcome(here, use));
  });
}

test("every method that goes to the worker is in the table", () => {
  const text = Object.values(USES).map(String).join("\n");
  assert.equal(
    CALLED.filter((method) => !text.includes(`.${method}(`)),
    [],
  );
});

for (const [name, location, options] of [
  ["a checkpoint that is not there", "no/such", {}],
  ["no location", undefined, {}],
  ["no such option", CHECKPOINT, { thread: 1 }],
  ["a wrong option", CHECKPOINT, { maxSequences: 0 }],
  ["a signal that has fired", CHECKPOINT, { signal: AbortSignal.abort() }],
] as const) {
  test(`loading refuses the same: ${name}`, async () => {
    const refused = (worker: boolean) =>
      loadModel(location as never, { ...options, worker } as LoadOptions).then(
        () => "loaded",
        ({ code, message }: GlimtError) => `${code}: ${message}`,
      );
    const expected = await refused(false);
    assert.match(expected, /^[A-Z_]+: /);
    assert.is(await refused(true), expected);
  });
}

test.run();
