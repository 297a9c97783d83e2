/** Calls to a model that fails, loads slowly, or is asked where addresses may lead. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { StreamPart } from "../../src/ai/contract.ts";
import { type AnsweringModel, languageModel } from "../../src/ai/provider.ts";
import { GlimtError } from "../../src/errors.ts";
import { PUBLIC_SOURCES } from "../../src/media/sources/source-rule.ts";
import { GenerationRun } from "../../src/serving/run.ts";
import type { GenerationEvent, GenerationResult } from "../../src/serving/run-result.ts";

const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "?" }] }];
const said = (index: number) =>
  ({ type: "text", index, choice: 0, text: "a", content: "a", boxed: false }) as GenerationEvent;

/** One that says `texts` pieces and then fails; it notes the options of its requests. */
function failing(texts: number, error: unknown, more: object = {}) {
  const asked: { sources?: unknown }[] = [];
  const generate = (_: unknown, options: object) => {
    asked.push(options);
    return new GenerationRun(async function* (): AsyncGenerator<GenerationEvent, GenerationResult, void> {
      for (let index = 0; index < texts; index++) yield said(index);
      throw error;
    });
  };
  const config = { text: { maxPositionEmbeddings: 64 } };
  const model = { generate, config, canThink: true, readsAnySource: true, ...more };
  return { asked, model: model as unknown as AnsweringModel };
}

async function partsOf(stream: ReadableStream<StreamPart>): Promise<StreamPart[]> {
  const parts: StreamPart[] = [];
  for (const reader = stream.getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) return parts;
    parts.push(value);
  }
}

const broken = new GlimtError("DEVICE_FAILED", "The device is gone.");

test("an error within an answer is a part of the stream, which ends behind it", async () => {
  const { model } = failing(2, broken);
  const { stream } = await languageModel(model).doStream({ prompt });
  const parts = await partsOf(stream);
  assert.equal(
    parts.map(({ type }) => type),
    ["stream-start", "response-metadata", "text-start", "text-delta", "text-delta", "error", "finish"],
  );
  const [error, finish] = parts.slice(-2) as unknown as [
    { error: unknown },
    { finishReason: { unified: string } },
  ];
  assert.is(error.error, broken);
  assert.is(finish.finishReason.unified, "error");
});

test("an error before the first token, and any without a stream, is thrown", async () => {
  const calls = [
    languageModel(failing(0, broken).model).doStream({ prompt }),
    languageModel(failing(2, broken).model).doGenerate({ prompt }),
  ];
  for (const call of calls) assert.is(await call.catch((error: unknown) => error), broken);
});

test("a call that is aborted does not wait until the model is there, which others go on to", async () => {
  const { asked, model } = failing(0, broken);
  let give: (model: AnsweringModel) => void = () => {};
  const slow = languageModel(() => new Promise<AnsweringModel>((resolve) => (give = resolve)));
  const controller = new AbortController();
  const [first, second] = [
    slow.doGenerate({ prompt, abortSignal: controller.signal }),
    slow.doGenerate({ prompt }),
  ];
  controller.abort(new Error("enough"));
  assert.is(await first.catch(({ message }: Error) => message), "enough");
  assert.is(asked.length, 0);
  give(model);
  assert.is(await second.catch((error: unknown) => error), broken);
});

const RULES: readonly [name: string, readsAnySource: boolean, settings: object, expected: unknown][] = [
  ["public hosts where the model reads any", true, {}, PUBLIC_SOURCES],
  ["the model's own rule", false, {}, undefined],
  ["what the provider says", false, { sources: "any" }, "any"],
];
for (const [name, readsAnySource, settings, expected] of RULES) {
  test(`sources: ${name}`, async () => {
    const { asked, model } = failing(0, broken, { readsAnySource });
    await languageModel(model, settings)
      .doGenerate({ prompt })
      .catch(() => {});
    assert.equal(asked[0]?.sources, expected);
  });
}

const WRONG: readonly [name: string, model: unknown, settings: object, expected: RegExp][] = [
  ["no model", undefined, {}, /languageModel: expected a model of loadModel/],
  ["a name of a model", "zai-org/GLM-OCR", {}, /found "zai-org\/GLM-OCR"/],
  ["a promise", Promise.resolve(), {}, /or a function that gives one, found a Promise/],
  ["another setting", failing(0, broken).model, { name: "a" }, /has no option "name"/],
];
for (const [name, model, settings, expected] of WRONG) {
  test(`refused: ${name}`, () => {
    assert.throws(
      () => languageModel(model as AnsweringModel, settings),
      (error: unknown) => error instanceof GlimtError && expected.test(error.message),
    );
  });
}

test.run();
