/** What a model can do beside answering, over several devices: drafts, adapters, prefixes, stops, other formats, threads. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import type { Backend } from "../../src/backends/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import {
  type GenerateOptions,
  type GlimtError,
  type LoadOptions,
  loadModel,
  type Message,
  type Model,
} from "../../src/index.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { type AroundRun, faultyRank } from "../backends/runs-through.ts";
import { goldenCase } from "../golden/load.ts";
import { adaptersOf, compareWithPeft } from "../serving/adapter-runs.ts";

const DEMO = "examples/demo/checkpoint";
const PICTURES = ["hello", "lines", "numbers", "receipt"];
const ask = (picture: string, text = "Text Recognition:"): Message[] => [
  {
    role: "user",
    content: [
      { type: "image", image: `examples/demo/pictures/${picture}.png` },
      { type: "text", text },
    ],
  },
];

async function readAll(model: Model, options: GenerateOptions = {}): Promise<string[]> {
  const results = await Promise.all(
    PICTURES.map((picture) => model.complete(ask(picture), { maxTokens: 96, ...options })),
  );
  return results.map(({ text }) => text);
}

const answers = new Map<string, Promise<string[]>>();
/** What one device reads. */
function readAlone(load: LoadOptions): Promise<string[]> {
  const key = JSON.stringify(load);
  const known =
    answers.get(key) ??
    loadModel(DEMO, load).then(async (model) => {
      const texts = await readAll(model);
      await model.dispose();
      return texts;
    });
  answers.set(key, known);
  return known;
}

const PARALLELS: readonly NonNullable<LoadOptions["parallel"]>[] = [
  { tensor: 2 },
  { pipeline: 2 },
  { pipeline: 3 },
  { tensor: 2, pipeline: 2, encoder: "data" },
  { encoder: "stage" },
  { tensor: 2, pipeline: 2, encoder: "stage" },
];

for (const parallel of PARALLELS) {
  const load = { backend: "wasm", threads: 1 } as const;
  test(`${JSON.stringify(parallel)}: pictures are read as by one device, with and without drafts`, async () => {
    const expected = await readAlone(load);
    const model = await loadModel(DEMO, { ...load, parallel });
    assert.equal(await readAll(model), expected);
    // Again: pages and features are found.
    assert.equal(await readAll(model), expected);
    assert.ok(model.stats().prefixCache.hitTokens > 0);
    if (parallel.pipeline === undefined) {
      assert.equal(await readAll(model, { speculation: "mtp" }), expected);
      assert.ok(model.stats().drafts.accepted > 0);
    }
    assert.equal(await readAll(model, { speculation: "lookup" }), expected);
    await model.dispose();
    assert.is(model.liveBytes, 0);
  });
}

test("weights and caches in blocks, and threads", async () => {
  for (const [load, parallel] of [
    [{ backend: "wasm", dtype: "q8", threads: 1 }, { tensor: 2 }],
    [{ backend: "wasm", dtype: "q4", threads: 2 }, { pipeline: 2 }],
    [{ backend: "wasm", kvCacheDtype: "q8" }, { tensor: 2 }],
    [{ backend: "reference", kvCacheDtype: "bf16", mtp: false }, { tensor: 2 }],
  ] as const) {
    const model = await loadModel(DEMO, { ...load, parallel });
    const { tensor = 1, pipeline = 1 } = parallel as { tensor?: number; pipeline?: number };
    assert.match(
      model.backend.description,
      new RegExp(`^2 devices \\(tensor ${tensor}, pipeline ${pipeline}\\): `),
    );
    assert.equal(await readAll(model), await readAlone(load), JSON.stringify(load));
    await model.dispose();
  }
});

test("a request that is aborted leaves the others alone", async () => {
  for (const parallel of [{ tensor: 2 }, { pipeline: 2 }]) {
    const load = { backend: "wasm", threads: 1 } as const;
    const [expected] = await readAlone(load);
    const model = await loadModel(DEMO, { ...load, parallel });
    const stop = new AbortController();
    const aborted = (async () => {
      for await (const _ of model.generate(ask("receipt"), { signal: stop.signal })) stop.abort();
    })();
    const [end, other] = await Promise.allSettled([aborted, model.complete(ask("hello"), { maxTokens: 96 })]);
    assert.is(end.status === "rejected" && end.reason.code, "ABORTED");
    assert.is(other.status === "fulfilled" && other.value.text, expected);
    await model.dispose();
  }
});

test("who disposes of a model while that is done already waits until all is free", async () => {
  const model = await loadModel(DEMO, { backend: "wasm", threads: 1, parallel: { tensor: 2 } });
  const held: number[] = [];
  let first: Promise<void> | undefined;
  const onProgress = () => {
    first ??= model.dispose();
    model.dispose().then(() => held.push(model.liveBytes));
  };
  const [end] = await Promise.allSettled([model.complete(ask("hello"), { onProgress })]);
  assert.is(end?.status === "rejected" && end.reason.code, "DISPOSED");
  await first;
  assert.ok(held.length > 0 && held.every((bytes) => bytes === 0), `${held}`);
});

/** A backend, one rank of which ends in the run after so many. */
function dying(backend: Backend, rank: number, runs: number): Backend {
  let left = runs;
  const fault: AroundRun = (run, { engine }) => {
    engine.dispose();
    return run();
  };
  return faultyRank(backend, rank, fault, () => left-- === 0);
}

for (const parallel of [{ tensor: 2 }, { pipeline: 2 }, { encoder: "stage" }] as const) {
  // Behind a tower that ends later a request whose picture it encoded may be answered.
  for (const runs of "encoder" in parallel ? [0] : [0, 1, 5]) {
    test(`${JSON.stringify(parallel)}: a device that ends after ${runs} runs ends all requests with one error`, async () => {
      const platform = { ...nodeFiles, backends: [dying(wasmBackend, 1, runs)] };
      const model = await loadModelOn(platform, DEMO, { parallel });
      const ends = await Promise.allSettled(
        PICTURES.map((picture) => model.complete(ask(picture), { maxTokens: 96 })),
      );
      const errors = ends.map((end) => (end.status === "rejected" ? end.reason : undefined));
      assert.equal(
        errors.map((error) => error?.code),
        PICTURES.map(() => "GROUP_FAILED"),
      );
      assert.is(new Set(errors).size, 1);
      assert.is(model.liveBytes, 0);
      const later = await Promise.allSettled([model.complete(ask("hello"))]);
      assert.is(later[0]?.status === "rejected" && later[0].reason.code, "GROUP_FAILED");
      await model.dispose();
      const again = await loadModel(DEMO, { backend: "wasm", threads: 1, parallel });
      assert.equal(await readAll(again), await readAlone({ backend: "wasm", threads: 1 }));
      await again.dispose();
    });
  }
}

const CALLS = ["allocate", "free", "write", "read", "copy", "bind", "reserve", "trim", "run"] as const;

/** A backend, the last rank of which ends in the call after `left` more, of any kind; null: in none. */
function endingAfter(backend: Backend, calls: { left: number | null }): Backend {
  return {
    ...backend,
    async open(opening) {
      const engine = await backend.open(opening);
      if (opening?.group?.rank !== 1) return engine;
      const count = () => {
        if (calls.left !== null && calls.left-- === 0) engine.dispose();
      };
      const asked = engine as unknown as Record<(typeof CALLS)[number], (...given: unknown[]) => unknown>;
      for (const name of CALLS) {
        const call = asked[name].bind(engine);
        asked[name] = (...given) => {
          count();
          return call(...given);
        };
      }
      const { get } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(engine), "freeBytes") ?? {};
      Object.defineProperty(engine, "freeBytes", {
        get() {
          count();
          return get?.call(engine);
        },
      });
      return engine;
    },
  };
}

for (const parallel of [{ tensor: 2 }, { pipeline: 2 }] as const) {
  test(`${JSON.stringify(parallel)}: a device that ends, whatever it is asked then, ends all with one error`, async () => {
    for (const left of [0, 1, 2, 3, 5, 8, 13, 21, 34, 55]) {
      const calls: { left: number | null } = { left: null };
      const platform = { ...nodeFiles, backends: [endingAfter(wasmBackend, calls)] };
      const model = await loadModelOn(platform, DEMO, { parallel });
      calls.left = left;
      const ends = await Promise.allSettled(PICTURES.map((picture) => model.complete(ask(picture))));
      const errors = ends.map((end) => (end.status === "rejected" ? end.reason : undefined));
      assert.equal(
        errors.map((error) => error?.code),
        PICTURES.map(() => "GROUP_FAILED"),
        `after ${left} calls`,
      );
      assert.is(new Set(errors).size, 1, `after ${left} calls`);
      await model.dispose();
    }
  });
}

for (const checkpoint of ["glm_ocr-tiny", "glm4v_moe-tiny"]) {
  for (const parallel of [{ tensor: 2 }, { pipeline: 2 }, { encoder: "stage" }] as const) {
    test(`${checkpoint}, ${JSON.stringify(parallel)}: adapters change the parts`, async () => {
      const adapters = adaptersOf(checkpoint);
      const { checkpointDir } = goldenCase(checkpoint, "one-image");
      const model = await loadModel(checkpointDir, {
        backend: "wasm",
        media: "huggingface",
        adapters,
        parallel,
      });
      const difference = await compareWithPeft(model, checkpoint);
      assert.ok(difference < 1e-3, `${difference}`);
      await model.dispose();
      assert.is(model.liveBytes, 0);
    });
  }
}

test("what the model can not be shared by is refused before weights are read, with the numbers", async () => {
  for (const [options, message] of [
    [{ parallel: { tensor: 3 } }, /not a multiple of 3/],
    [{ parallel: { pipeline: 4 } }, /3 decoder layers can not be cut into 4 stages/],
    [{ parallel: { tensor: 2, encoder: "tensor" } }, /numHeads 3 .*not a multiple of 2/],
    [{ parallel: { pipeline: 2 }, mtp: true }, /leave mtp out, or pass false/],
    [
      { devices: [0, 1], parallel: { tensor: 2, encoder: "stage" } },
      /devices names 2, and tensor 2 x pipeline 1 are 2, and with 1 for the encoder 3/,
    ],
    [{ devices: [0, 1, 2], parallel: { tensor: 2 } }, /devices names 3, and tensor 2 x pipeline 1 are 2/],
  ] as const) {
    try {
      await loadModel(DEMO, { backend: "reference", ...options });
      assert.unreachable();
    } catch (error) {
      assert.is((error as GlimtError).code, "OPTION_INVALID", String(error));
      assert.match((error as GlimtError).message, message);
    }
  }
});

test.run();
