/** What `generate` gives: events, a result, an end, in any combination, and nothing that is left behind. */
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type GenerationEvent, GlimtError, loadModel } from "../../src/index.ts";
import { chat } from "./company.ts";

const MODEL = "test/golden/data/glm_ocr-tiny";
const wasm = { backend: "wasm", threads: 1 } as const;
const unhandled: unknown[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(reason));

const asked = chat("Hello", 3);
const long = { maxTokens: 200, seed: 1 } as const;

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "no error",
    (error) => (error instanceof GlimtError ? error.code : String(error)),
  );
}

async function read(run: AsyncIterable<GenerationEvent>): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of run) events.push(event);
  return events;
}

test("events join to the text, one a token, and the last has the usage", async () => {
  const model = await loadModel(MODEL, wasm);
  const expected = await model.complete(asked, { maxTokens: 12, seed: 0 });
  const run = model.generate(asked, { maxTokens: 12, seed: 0 });
  const events = await read(run);
  const result = await run.result;
  assert.is(events.map(({ text }) => text).join(""), expected.text);
  assert.equal(
    events.map(({ tokenId, index, choice }) => [tokenId, index, choice]),
    expected.tokenIds.map((id, index) => [id, index, 0]),
  );
  assert.equal(
    events.map(({ finishReason, usage }) => [finishReason, usage]),
    events.map((_, index) => (index < 11 ? [null, null] : [result.finishReason, result.usage])),
  );
  const { timings: a, choices, ...rest } = result;
  const { timings: b, choices: __, ...wanted } = expected;
  // What was read for the first is there for the second.
  assert.equal({ ...rest, usage: null }, { ...wanted, usage: null });
  assert.equal([expected.usage.cachedTokens, result.usage.cachedTokens], [0, 16]);
  assert.equal(choices, [{ timings: a, ...rest }]);
  assert.is(result.content, result.text);
  assert.equal([result.reasoning, result.boxed, result.toolCalls], ["", null, []]);
  await model.dispose();
});

test("the result alone, before, beside and behind the events, and the generator's own", async () => {
  const model = await loadModel(MODEL, wasm);
  const { tokenIds } = await model.complete(asked, long);
  const ids = (events: readonly GenerationEvent[]) => events.map(({ tokenId }) => tokenId);
  assert.equal((await model.generate(asked, long).result).tokenIds, tokenIds);

  const before = model.generate(asked, long);
  assert.is(before.result, before.result);
  assert.equal((await before.result).tokenIds, tokenIds);
  assert.equal(ids(await read(before)), tokenIds, "events wait for who reads them later");

  const beside = model.generate(asked, long);
  const [events, result] = await Promise.all([read(beside), beside.result]);
  assert.equal([ids(events), result.tokenIds], [tokenIds, tokenIds]);

  const behind = model.generate(asked, long);
  assert.equal([ids(await read(behind)), (await behind.result).tokenIds], [tokenIds, tokenIds]);

  const generator = model.generate(asked, { maxTokens: 3 });
  const nexts = await Promise.all([0, 1, 2, 3, 4].map(() => generator.next()));
  assert.equal(
    nexts.map(({ done }) => done),
    [false, false, false, true, true],
  );
  assert.equal(nexts[3]?.value, await generator.result);
  assert.is(nexts[4]?.value, undefined);
  await model.dispose();
});

test("a run that nobody reads does not start, and one that is read stays near its reader", async () => {
  const model = await loadModel(MODEL, wasm);
  model.generate(asked, long);
  assert.equal(model.stats().running + model.stats().waiting, 0);
  const pulled = model.generate(asked, { maxTokens: 500 });
  await pulled.next();
  await sleep(100);
  assert.is(model.stats().running, 1);
  await pulled.return();
  // Both: it goes on by itself, and waits for its reader.
  const run = model.generate(asked, long);
  const first = await run.next();
  assert.is(first.done, false);
  let isDone = false;
  const result = run.result.then(() => {
    isDone = true;
  });
  await sleep(400);
  assert.is(isDone, false, "it ran to its end though nobody read on");
  assert.is(model.stats().running, 1);
  const rest = await read(run);
  await result;
  const tokens = (await run.result).tokenIds.length;
  assert.ok(tokens > 80, `${tokens} tokens are too few for this test`);
  assert.is(rest.length, tokens - 1);
  await model.dispose();
});

test("leaving the loop, return, throw, dispose and abort end a run and free its memory", async () => {
  const model = await loadModel(MODEL, wasm);
  await model.complete(asked, { maxTokens: 2 });
  const free = model.stats().pages.free;
  const isFree = async () => {
    for (let round = 0; round < 100 && model.stats().running > 0; round++) await sleep(5);
    assert.is(model.stats().running + model.stats().waiting, 0);
    assert.is(model.stats().pages.free, free);
  };
  const left = model.generate(asked, long);
  for await (const { index } of left) if (index === 2) break;
  await isFree();
  assert.is(await codeOf(left.result), "ABORTED");
  assert.equal(await left.next(), { done: true, value: undefined });

  const thrown = model.generate(asked, long);
  await thrown.next();
  assert.is(await codeOf(thrown.throw(new GlimtError("TIMED_OUT", "x"))), "TIMED_OUT");
  await isFree();

  const disposed = model.generate(asked, long);
  const running = disposed.result;
  await disposed[Symbol.asyncDispose]();
  assert.is(await codeOf(running), "ABORTED");
  await isFree();

  // While it is read, while nobody reads, before it started, behind its end.
  const aborted = model.generate(asked, long);
  await aborted.next();
  const next = aborted.next();
  aborted.abort("enough");
  assert.is(await codeOf(next), "ABORTED");
  assert.is(await codeOf(aborted.result), "ABORTED");
  await isFree();
  const idle = model.generate(asked, long);
  await idle.next();
  idle.abort();
  await isFree();
  assert.is(await codeOf(idle.next()), "ABORTED");
  assert.equal(await idle.next(), { done: true, value: undefined });
  const early = model.generate(asked, long);
  early.abort();
  assert.is(await codeOf(early.result), "ABORTED");
  const done = model.generate(asked, { maxTokens: 2 });
  await done.result;
  done.abort();
  assert.is((await done.result).tokenIds.length, 2);
  assert.is((await read(done)).length, 2);
  await model.dispose();
});

test("nobody gets a rejection that was not asked for", async () => {
  const model = await loadModel(MODEL, wasm);
  const bad = () => model.generate(asked, { maxTokens: 0 });
  bad();
  bad().result;
  assert.is(await codeOf(bad().next()), "OPTION_INVALID");
  assert.is(await codeOf(bad().result), "OPTION_INVALID");
  const both = bad();
  both.result;
  assert.is(await codeOf(both.next()), "OPTION_INVALID");
  assert.equal(await both.next(), { done: true, value: undefined });
  const several = bad();
  assert.is(await codeOf(read(several)), "OPTION_INVALID");
  assert.is(await codeOf(several.result), "OPTION_INVALID");
  const running = model.generate(asked, long);
  running.result;
  await running.next();
  await model.dispose();
  assert.is(await codeOf(running.next().then(() => read(running))), "DISPOSED");
  await sleep(20);
  assert.equal(unhandled, []);
});

for (const backend of ["wasm", "reference"] as const) {
  test(`${backend}: n answers, each the one that its seed gives alone`, async () => {
    const model = await loadModel(MODEL, { backend, prefillChunk: 24 });
    const options = { maxTokens: 10, temperature: 2, seed: 11 };
    const alone = [];
    for (const seed of [11, 12, 13]) alone.push(await model.complete(asked, { ...options, seed }));
    const run = model.generate(asked, { ...options, n: 3 });
    const events = await read(run);
    const { choices, ...first } = await run.result;
    assert.equal(first, choices[0]);
    for (const [index, choice] of choices.entries()) {
      const { choices: _, timings: __, ...expected } = alone[index]!;
      const { timings: ___, ...found } = choice;
      assert.equal({ ...found, usage: null }, { ...expected, usage: null });
      const own = events.filter((event) => event.choice === index);
      assert.equal(
        own.map(({ tokenId }) => tokenId),
        expected.tokenIds,
      );
      assert.is(own.map(({ text }) => text).join(""), expected.text);
      assert.equal(own.at(-1)?.usage, found.usage);
    }
    await model.dispose();
  });
}

test("n answers: pictures are encoded once, and one that fails or is left ends all", async () => {
  const model = await loadModel(MODEL, wasm);
  let encoded = 0;
  const options = { n: 5, maxTokens: 40, temperature: 2, seed: 3 };
  const onProgress = ({ stage, share }: { stage: string; share: number }) => {
    if (stage === "vision" && share === 1) encoded++;
  };
  await model.complete(asked, { ...options, onProgress });
  assert.is(encoded, 1);
  const { free } = model.stats().pages;
  for await (const { choice } of model.generate(asked, options)) if (choice === 4) break;
  assert.equal(
    { ...model.stats(), pages: model.stats().pages.free },
    { ...model.stats(), running: 0, waiting: 0, pages: free },
  );
  const run = model.generate(asked, options);
  await run.next();
  run.abort();
  assert.is(await codeOf(run.result), "ABORTED");
  for (let round = 0; round < 100 && model.stats().running > 0; round++) await sleep(5);
  assert.is(model.stats().pages.free, free);
  for (const n of [0, 65, 1.5, "2"]) {
    assert.is(await codeOf(model.complete(asked, { n: n as number })), "OPTION_INVALID");
  }
  await model.dispose();
});

test("answers that end at their first token are all there", async () => {
  const adapter = { name: "a", location: "test/golden/data/lora/glm_ocr-tiny/language" };
  const model = await loadModel(MODEL, { ...wasm, adapters: [adapter] });
  for (const adapters of [[], ["a"]]) {
    const options = { maxTokens: 1, temperature: 2, adapters } as const;
    const { choices } = await model.complete(asked, { ...options, n: 3, seed: 4 });
    assert.is(choices.length, 3);
    for (const [index, { tokenIds }] of choices.entries()) {
      const alone = await model.complete(asked, { ...options, seed: 4 + index });
      assert.equal(tokenIds, alone.tokenIds);
    }
    const events = await read(model.generate(asked, { ...options, n: 3 }));
    assert.equal(events.map(({ choice, finishReason }) => [choice, finishReason]).sort(), [
      [0, "length"],
      [1, "length"],
      [2, "length"],
    ]);
  }
  await model.unloadAdapter("a");
  const { running, waiting, pages } = model.stats();
  assert.equal([running, waiting, pages.free], [0, 0, pages.total]);
  await model.dispose();
});

test.run();
