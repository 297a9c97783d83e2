/** Nothing of a prompt is computed twice, and answers are to the bit those of a model that knows nothing. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nextTask } from "../../src/event-loop.ts";
import {
  type GenerateOptions,
  type ImageSource,
  type LoadOptions,
  loadModel,
  type Message,
  type Prompt,
} from "../../src/index.ts";
import { answersAlone, answersTogether, chat, facts } from "./company.ts";

const DIRECTORY = "test/golden/data/glm_ocr-tiny";
/** Of one page of the KV cache. */
const PAGE = 16;

async function open(options: LoadOptions = {}) {
  const load = { backend: "wasm", ...options } as const;
  const model = await loadModel(DIRECTORY, load);
  const ask = (prompt: Prompt, more: GenerateOptions = {}) =>
    model.complete(prompt, { maxTokens: 8, ...more });
  return { model, ask };
}

const cold = await open({ prefixCache: false });
test.after(() => cold.model.dispose());

const LONG = "Read what is on this page, line by line, and say what it is about. ".repeat(4);

for (const backend of ["wasm", "reference"] as const) {
  test(`${backend}: a prompt that comes again is found but for its end, and answered to the bit the same`, async () => {
    const { model, ask } = await open({ backend, prefillChunk: 40 });
    const never = await open({ backend, prefixCache: false });
    for (const messages of [chat(LONG), chat(LONG, 7)]) {
      const expected = await never.ask(messages, { maxTokens: 30 });
      assert.is(expected.usage.cachedTokens, 0);
      const { promptTokens } = expected.usage;
      const first = await ask(messages, { maxTokens: 30 });
      const again = await ask(messages, { maxTokens: 30 });
      assert.equal(facts(first), facts(expected));
      assert.equal(facts(again), facts(expected));
      assert.ok(first.usage.cachedTokens < PAGE, "what a request computed itself was not found");
      assert.is(again.usage.cachedTokens, Math.floor((promptTokens - 1) / PAGE) * PAGE);
    }
    await never.model.dispose();
    await model.dispose();
  });
}

test("a chat's next turn finds what was asked and answered before", async () => {
  const { model, ask } = await open();
  const messages = chat(LONG, 7);
  const first = await ask(messages, { maxTokens: 40 });
  const next: Message[] = [
    ...messages,
    { role: "assistant", content: first.text },
    { role: "user", content: "Why?" },
  ];
  const second = await ask(next);
  assert.ok(second.usage.cachedTokens > first.usage.promptTokens - 2 * PAGE, `${second.usage.cachedTokens}`);
  assert.equal(facts(second), facts(await cold.ask(next)));
  await model.dispose();
});

test("answers are found as well as prompts", async () => {
  const { model, ask } = await open();
  const { inputIds } = await model.process(chat(LONG));
  const { tokenIds } = await ask({ inputIds }, { maxTokens: 3 * PAGE });
  const next = { inputIds: [...inputIds, ...tokenIds, 5, 6, 7] };
  const { usage, ...answer } = await ask(next);
  // The last token of an answer is not read.
  assert.is(usage.cachedTokens, Math.floor((inputIds.length + tokenIds.length - 1) / PAGE) * PAGE);
  assert.equal(answer.topLogits, (await cold.ask(next)).topLogits);
  await model.dispose();
});

test("what looks alike is not the same: pictures, their place, salt and positions", async () => {
  const { model, ask } = await open();
  const messages = chat("What is it? ".repeat(6), 7);
  const inputs = await model.process(messages);
  const { inputIds, imageGridThw, positionIds, pixelValues } = inputs;
  const first = await ask(messages);
  // The place of the picture's first row: what stands before it may be found.
  const before = inputs.mmTokenTypeIds.indexOf(1);
  const rest = inputIds.length - before;
  const other = Float32Array.from(pixelValues!, (value, index) =>
    index === pixelValues!.length - 1 ? value + 1 : value,
  );
  const shifted = positionIds.map((axis) => axis.map((position) => position + 1)) as typeof positionIds;
  const cases: [string, Prompt, GenerateOptions, number][] = [
    ["the same", messages, {}, Math.floor((inputIds.length - 1) / PAGE) * PAGE],
    ["one value of the picture", { inputIds, imageGridThw, pixelValues: other }, {}, before],
    ["a picture moved by a page", { ...tensors([...Array(PAGE).fill(9), ...inputIds]) }, {}, 0],
    ["other positions", { inputIds, imageGridThw, pixelValues, positionIds: shifted }, {}, 0],
    ["a salt", messages, { cacheSalt: "another" }, 0],
  ];
  function tensors(ids: readonly number[]) {
    return { inputIds: ids, imageGridThw, pixelValues };
  }
  for (const [name, prompt, options, most] of cases) {
    const found = await ask(prompt, options);
    assert.ok(found.usage.cachedTokens <= most, `${name}: ${found.usage.cachedTokens}`);
    assert.equal(facts(found), facts(await cold.ask(prompt, options)), name);
    assert.equal((await ask(messages)).tokenIds, first.tokenIds);
  }
  assert.ok(rest > PAGE);
  const salted = await ask(messages, { cacheSalt: "another" });
  assert.ok(salted.usage.cachedTokens > 0);
  await model.dispose();
});

test("prompts of embeddings are told apart by their values", async () => {
  const { model, ask } = await open();
  const { hiddenSize } = model.config.text;
  const promptEmbeddings = Float32Array.from({ length: 40 * hiddenSize }, (_, index) => Math.sin(index));
  await ask({ promptEmbeddings });
  const again = await ask({ promptEmbeddings });
  assert.is(again.usage.cachedTokens, 32);
  const changed = promptEmbeddings.slice();
  changed[0] = 2;
  const other = await ask({ promptEmbeddings: changed });
  assert.is(other.usage.cachedTokens, 0);
  assert.equal(facts(other), facts(await cold.ask({ promptEmbeddings: changed })));
  await model.dispose();
});

test("requests that come at once with the same page share what one of them computes", async () => {
  const { model } = await open({ prefillChunk: 32 });
  // Prepared before: how long pictures take to be decoded is no matter here.
  const prompts = await Promise.all(["a", "b", "c", "d"].map((end) => model.process(chat(LONG + end, 7))));
  const answers = await Promise.all(prompts.map((prompt) => model.complete(prompt, { maxTokens: 6 })));
  const computed = answers.reduce((sum, { usage }) => sum + usage.promptTokens - usage.cachedTokens, 0);
  const [{ usage }] = answers as [(typeof answers)[0]];
  assert.ok(computed < 2 * usage.promptTokens, `${computed} of ${4 * usage.promptTokens}`);
  for (const [index, end] of ["a", "b", "c", "d"].entries()) {
    assert.equal(facts(answers[index]!), facts(await cold.ask(chat(LONG + end, 7), { maxTokens: 6 })));
  }
  await model.dispose();
});

test("in company, with aborts, requests have the answers they have alone, cold or warm", async () => {
  const expected = await answersAlone(cold.model);
  const { model } = await open({ prefillChunk: 24 });
  for (let round = 0; round < 3; round++) {
    const left = Array.from({ length: 6 }, async (_, index) => {
      let count = 0;
      for await (const _ of model.generate(chat(LONG, 7), { maxTokens: 40 })) if (++count > index) break;
    });
    assert.equal(await answersTogether(model), expected);
    await Promise.all(left);
  }
  await model.trimMemory();
  assert.equal(await answersAlone(model), expected);
  await model.dispose();
});

test("long chats that take turns read only what is new", async () => {
  const { model, ask } = await open();
  const chats = [1, 2].map((number) => chat(`${number} ${"Read it. ".repeat(290)}`, 3 + number));
  const read: number[][] = [];
  for (let turn = 0; turn < 3; turn++) {
    for (const messages of chats) {
      const { text, usage } = await ask(messages, { maxTokens: 20 });
      assert.ok(usage.promptTokens > 1900, `${usage.promptTokens}`);
      read.push([usage.promptTokens - usage.cachedTokens, messages.length]);
      messages.push({ role: "assistant", content: text }, { role: "user", content: `Why ${turn}?` });
    }
  }
  const later = read.slice(2).map(([tokens]) => tokens as number);
  assert.ok(
    later.every((tokens) => tokens < 100),
    `${later} tokens were read`,
  );
  assert.is(model.stats().prefixCache.evictions, 0);
  await model.dispose();
});

test("with memory for little, pages of ended requests make room for those to come", async () => {
  const { model, ask } = await open({ kvCache: { bytes: 0 } });
  await ask(chat(LONG));
  const held = model.liveBytes;
  for (let index = 0; index < 6; index++) await ask(chat(`${index} ${LONG}`));
  assert.is(model.liveBytes, held, "pages are taken again before the pool grows");
  await model.dispose();
});

test("what fits alone fits beside whatever is kept of others", async () => {
  const maxMemory = 8 * 2 ** 20;
  const options = { maxMemory, threads: 1, prefillChunk: 64 };
  const long = chat("Read it. ".repeat(250));
  const { model, ask } = await open(options);
  const expected = facts(await ask(long));
  await model.trimMemory();
  for (let index = 0; index < 24; index++) await ask(chat(`${index} ${LONG}`));
  const kept = model.stats().pages;
  assert.ok(kept.total > 90, `${kept.total} pages`);
  assert.equal(facts(await ask(long)), expected);
  const picture = { data: new Uint8Array(3 * 56 * 56), width: 56, height: 56 };
  for (let index = 0; index < 24; index++) await ask(chat(`${index} ${LONG}`));
  assert.is((await model.encodeImages(Array.from({ length: 40 }, () => picture))).length, 40);
  await model.dispose();
});

test("trimMemory gives back what was kept", async () => {
  const { model, ask } = await open();
  await model.trimMemory();
  const empty = model.liveBytes;
  await ask(chat(LONG, 7));
  await model.trimMemory();
  assert.is(model.liveBytes, empty);
  assert.is((await ask(chat(LONG, 7))).usage.cachedTokens, 0);
  await model.dispose();
});

test("what the options may be", async () => {
  const refused = async (task: Promise<unknown>, message: RegExp) => {
    const error = await task.then(
      () => assert.unreachable(),
      (error) => error,
    );
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, message);
  };
  await refused(cold.ask(chat("x"), { cacheSalt: "" }), /cacheSalt is empty/);
  await refused(cold.ask(chat("x"), { cacheSalt: 3 as never }), /cacheSalt/);
  await refused(loadModel(DIRECTORY, { prefixCache: 1 as never }), /prefixCache/);
  const sizes = [
    [16777216, /kvCache is 16777216, expected \{ bytes: 16777216 \} or \{ fraction \}/],
    [0.5, /kvCache is 0.5, expected \{ bytes \} or \{ fraction \}/],
    ["1GiB", /kvCache is "1GiB", expected \{ bytes \}/],
  ] as const;
  for (const [kvCache, message] of sizes) {
    await refused(loadModel(DIRECTORY, { kvCache: kvCache as never }), message);
  }
});

test("a caller who writes to pixels or features while they wait spoils no cache", async () => {
  const text = "What is it? ".repeat(6);
  const { model, ask } = await open();
  const [mine, other] = [await model.process(chat(text, 7)), await model.process(chat(text, 3))];
  const [pixels] = mine.visionItems ?? [];
  const [others] = other.visionItems ?? [];
  if (!pixels || !("pixelValues" in pixels) || !others || !("pixelValues" in others))
    throw new Error("pixels");
  const { inputIds, imageGridThw } = mine;
  const pictures = [7, 3].map((shade) => chat("", shade)[0]?.content?.[0] as { image: ImageSource });
  const [kept, otherKept] = await model.encodeImages(pictures.map(({ image }) => image));
  if (!kept || !otherKept) throw new Error("features");
  const byFeatures = (image: typeof kept): Message[] => [
    {
      role: "user",
      content: [
        { type: "image", image },
        { type: "text", text },
      ],
    },
  ];
  const features = { ...kept, embeddings: kept.embeddings.slice() };
  const pixelValues = pixels.pixelValues.slice();
  const expected = facts(await cold.ask(mine));
  const cases: [Prompt, Prompt, () => void][] = [
    [{ inputIds, imageGridThw, pixelValues }, mine, () => pixelValues.set(others.pixelValues)],
    [byFeatures(features), byFeatures(kept), () => features.embeddings.set(otherKept.embeddings)],
  ];
  for (const [given, same, overwrite] of cases) {
    // Written to at another moment each time: between the hash and the encoding is what counts.
    for (let moment = 0; moment < 30; moment++) {
      const cacheSalt = `${moment}`;
      pixelValues.set(pixels.pixelValues);
      features.embeddings.set(kept.embeddings);
      const answer = ask(given, { cacheSalt });
      for (let turn = 0; turn < moment; turn++) await (turn % 4 === 3 ? nextTask() : null);
      overwrite();
      await answer;
      assert.equal(facts(await ask(same, { cacheSalt })), expected, `at ${moment}`);
    }
  }
  await model.dispose();
});

test.run();
