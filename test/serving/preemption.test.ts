/**
 * A cache too small for all: requests wait for pages, give them to others and read themselves again. Nobody sees it in
 * an answer, to the bit; what can never fit is refused at once.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDirectory } from "../../src/checkpoint/directory.node.ts";
import { GlimtError, loadModel, type Message } from "../../src/index.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { answersAlone, answersTogether, chat, facts } from "./company.ts";
import { BACKENDS, isIdle, loadWithPages } from "./few-pages.ts";

for (const [name, backend] of Object.entries(BACKENDS)) {
  for (const checkpoint of ["glm_ocr-tiny", "glm4v_moe-tiny"]) {
    test(`${name}, ${checkpoint}: with few pages as with many`, async () => {
      const location = `test/golden/data/${checkpoint}`;
      const roomy = await loadWithPages(backend, 1000, { maxSequences: 1 }, location);
      const expected = await answersAlone(roomy);
      assert.is(roomy.stats().preemptions, 0);
      await roomy.dispose();
      let preemptions = 0;
      for (const [pages, speculation] of [
        [8, "off"],
        [8, "auto"],
        [11, "lookup"],
        [14, "auto"],
      ] as const) {
        const model = await loadWithPages(
          backend,
          pages,
          { prefillChunk: 24, maxBatchedTokens: 31 },
          location,
        );
        assert.equal(await answersTogether(model, speculation), expected);
        preemptions += model.stats().preemptions;
        assert.ok(isIdle(model));
        await model.dispose();
      }
      assert.ok(preemptions > 0, `${preemptions} preemptions`);
    });
  }
}

test("who gives way is the lowest priority, and of that the latest", async () => {
  const model = await loadWithPages(BACKENDS.wasm, 9);
  const ends: string[] = [];
  const ask = async (name: string, priority: number) => {
    await model.complete(chat(name), { maxTokens: 60, temperature: 2, seed: 3, priority });
    ends.push(name);
  };
  await Promise.all([ask("a", 1), ask("b", 1), ask("c", 0)]);
  assert.ok(model.stats().preemptions > 0);
  assert.equal(ends, ["c", "a", "b"]);
  await model.dispose();
});

test("a request whose picture was found in the cache encodes it when it has lost its pages", async () => {
  const model = await loadWithPages(BACKENDS.wasm, 8);
  const asked = { maxTokens: 40, temperature: 2, seed: 5 };
  const expected = facts(await model.complete(chat("Text:", 3), asked));
  let encodings = 0;
  const onProgress = ({ stage }: { stage: string }) => {
    if (stage === "vision") encodings++;
  };
  const again = model.generate(chat("Text:", 3), { ...asked, priority: 1, onProgress });
  const pieces = again[Symbol.asyncIterator]();
  await pieces.next();
  assert.is(encodings, 0);
  await model.complete(chat("Other ".repeat(23)), { maxTokens: 4 });
  assert.ok(model.stats().preemptions > 0);
  assert.equal(facts(await again.result), expected);
  assert.ok(encodings > 0);
  assert.ok(isIdle(model));
  await model.dispose();
});

test("an answer that nobody reads gives way to a request that waits, and goes on when it is read", async () => {
  const model = await loadWithPages(BACKENDS.wasm, 5);
  const options = { maxTokens: 30, temperature: 2, seed: 5 };
  const expected = facts(await model.complete(chat("Text:", 3), options));
  const pieces = model.generate(chat("Text:", 3), options);
  for (let count = 0; count < 8; count++) await pieces.next();
  const other = await model.complete(chat("Other ".repeat(8)), { maxTokens: 4 });
  assert.is(other.tokenIds.length, 4);
  assert.ok(model.stats().preemptions > 0);
  for (;;) {
    const next = await pieces.next();
    if (!next.done) continue;
    assert.equal(facts(next.value), expected);
    break;
  }
  assert.ok(isIdle(model));
  await model.dispose();
});

test("guesses take pages from nobody: with as many pages as the answer has the layer guesses where there is room", async () => {
  const demo = "examples/demo/checkpoint";
  const asked = { maxTokens: 40, speculation: "mtp" } as const;
  const roomy = await loadWithPages(BACKENDS.wasm, 1000, {}, demo);
  const expected = await roomy.complete(chat("Hello"), { ...asked, speculation: "off" });
  await roomy.dispose();
  const { promptTokens, completionTokens } = expected.usage;
  const model = await loadWithPages(
    BACKENDS.wasm,
    Math.ceil((promptTokens + completionTokens - 1) / 16),
    {},
    demo,
  );
  assert.equal(facts(await model.complete(chat("Hello"), asked)), facts(expected));
  assert.ok(model.stats().drafts.accepted > 0);
  await model.dispose();
});

for (const speculation of ["lookup", "mtp"] as const) {
  test(`what is kept for later is not given up for guesses: ${speculation}`, async () => {
    const demo = "examples/demo/checkpoint";
    const { idOf } = await loadTokenizer(await openDirectory(demo));
    // Few letters: what was said before comes again, and is seldom followed by the same.
    const allowedTokenIds = [..."abcd"].map((letter) => idOf(letter) as number);
    const asked = { maxTokens: 40, ignoreEos: true, allowedTokenIds, temperature: 2, seed: 1 };
    const question = chat("abcabdacbdcadb");
    const roomy = await loadWithPages(BACKENDS.wasm, 1000, {}, demo);
    const { text } = await roomy.complete(question, asked);
    await roomy.dispose();
    const kept = { off: [] as unknown[], guessed: [] as unknown[] };
    let drafted = 0;
    // Each answer ends at another place of its page, where guesses reach into the next one.
    for (let end = 0; end + 4 <= text.length; end += 3) {
      for (const [name, how] of [
        ["off", "off"],
        ["guessed", speculation],
      ] as const) {
        const model = await loadWithPages(BACKENDS.wasm, 12, {}, demo);
        // As many pages as there may be, all of which hold something.
        await model.complete(chat("Other words, ".repeat(11)), { maxTokens: 1, speculation: how });
        const before = model.stats().pages.total;
        await model.complete(question, { ...asked, stop: text.slice(end, end + 4), speculation: how });
        const { prefixCache, pages, drafts } = model.stats();
        kept[name].push([before, pages.total, prefixCache.pages, prefixCache.evictions]);
        drafted += drafts.drafted;
        await model.dispose();
      }
    }
    assert.ok(drafted > 0, `${drafted} drafts`);
    assert.equal(kept.guessed, kept.off);
  });
}

test("what does not fit alone is refused, at once where nobody else is there, and the others go on", async () => {
  const model = await loadWithPages(BACKENDS.wasm, 6);
  const long: Message[] = chat("word ".repeat(200));
  const code = (error: GlimtError) => error.code;
  assert.is(await model.complete(long).catch(code), "OUT_OF_MEMORY");
  const expected = facts(await model.complete(chat("Hello"), { maxTokens: 20 }));
  const [refused, answer] = await Promise.all([
    model.complete(long).catch(code),
    model.complete(chat("Hello"), { maxTokens: 20 }),
  ]);
  assert.equal([refused, facts(answer)], ["OUT_OF_MEMORY", expected]);
  // An answer that outgrows the cache ends where it did before there were others.
  const outgrown = await model
    .complete(chat("Hello"), { maxTokens: 500, temperature: 2, seed: 1 })
    .catch((error) => error);
  if (outgrown instanceof GlimtError) assert.match(outgrown.message, /The answer outgrew memory after/);
  assert.ok(isIdle(model));
  await model.dispose();
});

test("in memory for hardly more than one, all that fit alone are answered as alone, whatever holes others leave", async () => {
  const options = { backend: "wasm", threads: 1, maxMemory: 6 * 2 ** 20, prefillChunk: 48 } as const;
  const location = "test/golden/data/glm_ocr-tiny";
  const asked = Array.from({ length: 48 }, (_, index) => {
    const text = "Read what is here. ".repeat(1 + ((index * 7) % 12));
    const speculation = (["off", "mtp", "lookup"] as const)[index % 3] as "off";
    const messages = chat(text, index % 2 === 0 ? 1 + (index % 5) : undefined);
    return [
      messages,
      { maxTokens: 1 + ((index * 5) % 28), temperature: 2, seed: index, speculation },
    ] as const;
  });
  const alone = await loadModel(location, { ...options, maxSequences: 1 });
  const expected: unknown[] = [];
  for (const [messages, given] of asked) expected.push(facts(await alone.complete(messages, given)));
  await alone.dispose();
  const model = await loadModel(location, options);
  const answers = await Promise.all(asked.map(([messages, given]) => model.complete(messages, given)));
  assert.equal(answers.map(facts), expected);
  assert.ok(isIdle(model));
  await model.dispose();
});

test.run();
