/** What requests share and are held to, on the emulated CUDA backend: answers are those without, to the bit where it is asked. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModelOn } from "../../src/api/load-model.ts";
import { createCudaBackend } from "../../src/backends/cuda/backend.node.ts";
import type { LoadOptions, Message } from "../../src/index.ts";
import { nodeFiles } from "../../src/node-files.ts";
import { EMULATOR_PATH } from "../bindings/emulator.ts";
import { answersAlone, answersTogether, chat, facts } from "./company.ts";
import { isIdle, loadWithPages } from "./few-pages.ts";

const DIRECTORY = "test/golden/data/glm_ocr-tiny";
const backend = createCudaBackend({ addonPath: EMULATOR_PATH, activations: "bf16" });
const open = (options: LoadOptions = {}) =>
  loadModelOn({ ...nodeFiles, backends: [backend] }, DIRECTORY, { batchInvariant: true, ...options });

const cold = await open({ prefixCache: false, encoderCacheBytes: 0, maxSequences: 1 });
test.after(() => cold.dispose());

const LONG = "Read what is on this page, line by line, and say what it is about. ".repeat(4);

test("n answers are those of their seeds, and read the prompt once", async () => {
  const model = await open();
  const asked = { maxTokens: 12, temperature: 1.5, seed: 4 };
  const { choices, usage } = await model.complete(chat(LONG, 7), { ...asked, n: 3 });
  assert.is(choices.length, 3);
  assert.ok(new Set(choices.map(({ text }) => text)).size > 1);
  for (const [index, { tokenIds }] of choices.entries()) {
    const alone = await cold.complete(chat(LONG, 7), { ...asked, seed: 4 + index });
    assert.equal(tokenIds, alone.tokenIds);
    assert.is(usage.promptTokens, alone.usage.promptTokens);
  }
  assert.is(model.stats().encoderCache.hits, 0);
  await model.dispose();
});

test("structured answers are of their schema, with and without drafts, and beside others", async () => {
  const model = await open();
  const jsonSchema = {
    type: "object",
    properties: {
      kind: { enum: ["invoice", "letter"] },
      total: { type: "integer", minimum: 0, maximum: 99 },
    },
    required: ["kind", "total"],
  };
  const asked = { structured: { jsonSchema }, enableThinking: false, maxTokens: 80, temperature: 1, seed: 3 };
  const alone = await cold.complete(chat("Read", 3), asked);
  const { kind, total } = JSON.parse(alone.text);
  assert.ok(["invoice", "letter"].includes(kind) && total >= 0 && total <= 99, alone.text);
  const plain = await cold.complete(chat("Read", 3), { maxTokens: 20 });
  for (const speculation of ["off", "mtp", "lookup"] as const) {
    const [structured, beside] = await Promise.all([
      model.complete(chat("Read", 3), { ...asked, speculation }),
      model.complete(chat("Read", 3), { maxTokens: 20, speculation }),
    ]);
    assert.equal(facts(structured), facts(alone), speculation);
    assert.equal(facts(beside), facts(plain), speculation);
  }
  await model.dispose();
});

test("pages of the same beginning are found, and change nothing", async () => {
  const model = await open({ prefillChunk: 40 });
  const first = await model.complete(chat(LONG, 7), { maxTokens: 20 });
  const again = await model.complete(chat(LONG, 7), { maxTokens: 20 });
  assert.is(first.usage.cachedTokens, 0);
  assert.ok(again.usage.cachedTokens > first.usage.promptTokens - 17, `${again.usage.cachedTokens}`);
  const next: Message[] = [
    ...chat(LONG, 7),
    { role: "assistant", content: first.text },
    { role: "user", content: "Why?" },
  ];
  const turn = await model.complete(next, { maxTokens: 8 });
  assert.ok(turn.usage.cachedTokens > 0);
  for (const [found, messages, maxTokens] of [
    [first, chat(LONG, 7), 20],
    [again, chat(LONG, 7), 20],
    [turn, next, 8],
  ] as const) {
    assert.equal(facts(found), facts(await cold.complete(messages, { maxTokens })));
  }
  await model.dispose();
});

test("a picture that comes again is not encoded again, and is answered the same", async () => {
  const model = await open({ prefixCache: false });
  const two = [...chat("First", 3), { role: "assistant" as const, content: "Yes" }, ...chat("Second", 7)];
  for (const messages of [chat("One", 7), chat("Another", 7), two, chat("Third", 3)]) {
    const asked = { maxTokens: 6 };
    assert.equal(facts(await model.complete(messages, asked)), facts(await cold.complete(messages, asked)));
  }
  const { queries, hits } = model.stats().encoderCache;
  assert.ok(queries === 5 && hits >= 2, `${hits} hits`);
  await model.dispose();
});

test("with few pages requests give way and read themselves again, drafting or not", async () => {
  const expected = await answersAlone(cold);
  let preemptions = 0;
  for (const [pages, speculation] of [
    [8, "off"],
    [9, "mtp"],
    [11, "lookup"],
  ] as const) {
    const options = { batchInvariant: true, prefillChunk: 24, maxBatchedTokens: 31 };
    const model = await loadWithPages(backend, pages, options);
    assert.equal(await answersTogether(model, speculation), expected, speculation);
    preemptions += model.stats().preemptions;
    assert.ok(isIdle(model));
    await model.dispose();
  }
  assert.ok(preemptions > 0, `${preemptions} preemptions`);
});

test.run();
