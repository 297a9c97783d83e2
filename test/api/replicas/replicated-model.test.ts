/** A model that was loaded several times answers as one, also when one of them fails. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ReplicatedModel } from "../../../src/api/replicas/replicated-model.ts";
import { GlimtError, loadModel, type Message, type Model } from "../../../src/index.ts";

const LOCATION = "examples/demo/checkpoint";
const OPTIONS = { backend: "wasm", threads: 1 } as const;
const reading = (name: string, text = "Text Recognition:"): Message[] => [
  {
    role: "user",
    content: [
      { type: "image", image: readFileSync(`examples/demo/pictures/${name}`) },
      { type: "text", text },
    ],
  },
];
const NAMES = ["hello.png", "lines.png", "numbers.png", "receipt.png"];
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "none",
    (error) => (error instanceof GlimtError ? error.code : String(error)),
  );

test("answers are those of the model alone, and one picture goes to one replica", async () => {
  await using alone = await loadModel(LOCATION, OPTIONS);
  await using model = await loadModel(LOCATION, { ...OPTIONS, dataParallel: 2 });
  assert.is(model.backend.description, `${alone.backend.description}; 2 copies`);
  const expected = await Promise.all(NAMES.map((name) => alone.complete(reading(name))));
  const answers = await Promise.all(NAMES.map((name) => model.complete(reading(name))));
  assert.equal(
    answers.map(({ text }) => text),
    expected.map(({ text }) => text),
  );
  for (const name of NAMES) {
    const { usage } = await model.complete(reading(name, "Text Recognition: again"), { maxTokens: 1 });
    assert.ok(usage.cachedTokens > 0, `${name}: nothing was found`);
  }
  const stats = model.stats();
  assert.is(stats.running, 0);
  // Each picture was encoded once, by one of them.
  assert.is(stats.encoderCache.queries, NAMES.length);
  assert.is(model.liveBytes > 1.5 * alone.liveBytes, true);
});

test("a replica that fails is left out, and its requests that had no token are answered by another", async () => {
  const [first, second] = [await loadModel(LOCATION, OPTIONS), await loadModel(LOCATION, OPTIONS)];
  const lost = failing(first, "DEVICE_FAILED");
  await using model = new ReplicatedModel([lost, second]);
  assert.is((await model.complete(reading("hello.png"))).text, "Hello world");
  assert.is(await codeOf(first.complete(reading("hello.png"))), "DISPOSED");
  assert.is((await model.complete(reading("hello.png"))).text, "Hello world");
  assert.is(model.stats().running, 0);
});

test("errors of a request alone leave the replica in", async () => {
  await using model = await loadModel(LOCATION, { ...OPTIONS, dataParallel: 2 });
  assert.is(await codeOf(model.complete(reading("hello.png"), { maxTokens: 0 })), "OPTION_INVALID");
  assert.is(await codeOf(model.complete([])), "INPUT_INVALID");
  const stop = new AbortController();
  const run = model.generate(reading("lines.png"), { signal: stop.signal });
  await run.next();
  stop.abort();
  assert.is(await codeOf(run.result), "ABORTED");
  const left = model.generate(reading("lines.png"));
  await left.next();
  await left.return();
  const aborted = model.generate(reading("lines.png"));
  await aborted.next();
  aborted.abort();
  assert.is(await codeOf(aborted.result), "ABORTED");
  assert.is((await model.complete(reading("hello.png"))).text, "Hello world");
  assert.is(model.stats().running, 0);
});

test("when all have failed, requests are told by what; and after its end that it has ended", async () => {
  const parts = [failing(await loadModel(LOCATION, OPTIONS), "GROUP_FAILED")];
  const model = new ReplicatedModel(parts);
  assert.is(await codeOf(model.complete(reading("hello.png"))), "GROUP_FAILED");
  assert.is(await codeOf(model.complete(reading("hello.png"))), "GROUP_FAILED");
  assert.throws(
    () => model.stats(),
    (error: GlimtError) => error.code === "GROUP_FAILED",
  );
  await model.dispose();
  await model.dispose();
  assert.is(await codeOf(model.complete(reading("hello.png"))), "DISPOSED");
});

test("sessions of one are found by all", async () => {
  await using model = await loadModel(LOCATION, { ...OPTIONS, dataParallel: 2 });
  await using other = await loadModel(LOCATION, { ...OPTIONS, dataParallel: 2 });
  const { blob } = await model.saveSession(reading("hello.png"));
  await other.restoreSession(blob);
  const { usage } = await other.complete(reading("hello.png"), { maxTokens: 1 });
  assert.ok(usage.cachedTokens > 0);
});

test("numbers and devices that can not be shared out are refused", async () => {
  const refused = (options: object) => codeOf(loadModel(LOCATION, { ...OPTIONS, ...options }));
  assert.is(await refused({ dataParallel: 0 }), "OPTION_INVALID");
  assert.is(await refused({ dataParallel: 1.5 }), "OPTION_INVALID");
  assert.is(await refused({ dataParallel: 2, devices: [0, 1, 2] }), "OPTION_INVALID");
});

test("each replica may be a group of devices", async () => {
  await using model = await loadModel(LOCATION, {
    ...OPTIONS,
    dataParallel: 2,
    devices: [0, 1, 2, 3],
    mtp: false,
  });
  assert.is((await model.complete(reading("hello.png"))).text, "Hello world");
});

/** A model whose requests end so. */
function failing(model: Model, code: "DEVICE_FAILED" | "GROUP_FAILED"): Model {
  const generate = () => {
    const error = new GlimtError(code, "The device is lost.");
    return {
      next: () => Promise.reject(error),
      return: async () => ({ done: true, value: undefined }),
      abort() {},
    } as never;
  };
  return new Proxy(model, {
    get(target, name) {
      if (name === "generate") return generate;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

test.run();
