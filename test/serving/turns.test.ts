/** Work of many short pieces leaves the thread: timers beside it run, and a signal stops it. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { GlimtError, loadModel, type Message, openProcessor, type RawImage } from "../../src/index.ts";

const DEMO = "examples/demo/checkpoint";
const question: Message[] = [{ role: "user", content: "Hello?" }];
const picture: RawImage = { data: new Uint8Array(3 * 56 * 56).fill(90), width: 56, height: 56 };

/**
 * Of processor time, of this thread and of those that help it: far below what the work takes, far above a turn. On a busy
 * machine clocks say nothing, and on a slow one all takes longer: there it is a share of the work.
 */
const SILENCE_MS = 300;
const SILENCE_SHARE = 1 / 5;

/** Whether a timer ticks while `work` runs. */
async function leavesTheThread(work: () => Promise<unknown>): Promise<boolean> {
  const began = process.cpuUsage();
  let last = began;
  let longest = 0;
  const tick = () => {
    const { user, system } = process.cpuUsage(last);
    longest = Math.max(longest, (user + system) / 1000);
    last = process.cpuUsage();
  };
  const timer = setInterval(tick, 5);
  await work();
  tick();
  clearInterval(timer);
  const { user, system } = process.cpuUsage(began);
  return longest < Math.max(SILENCE_MS, ((user + system) / 1000) * SILENCE_SHARE);
}

async function code(work: () => Promise<unknown>): Promise<string> {
  return work().then(
    () => "no error",
    (error) => (error instanceof GlimtError ? error.code : String(error)),
  );
}

for (const backend of ["wasm", "reference"] as const) {
  const tokens = backend === "wasm" ? 1000 : 60;

  test(`${backend}: a timer ticks beside a generation whose steps are short, and one by one beside many answers`, async () => {
    const model = await loadModel(DEMO, { backend });
    const stop = { maxTokens: tokens, temperature: 3, seed: 1 };
    assert.ok(await leavesTheThread(() => model.complete(question, stop)));
    const answers = async () => {
      for (let count = 0; count < tokens / 5; count++) await model.complete(question, { maxTokens: 1 });
    };
    assert.ok(await leavesTheThread(answers));
    await model.dispose();
  });

  test(`${backend}: a generation is aborted by a timer, and the model stays usable`, async () => {
    const model = await loadModel(DEMO, { backend });
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 150);
    const running = async () => {
      for (;;) {
        const options = { maxTokens: 1000, temperature: 3, seed: 2, signal: controller.signal };
        await model.complete(question, options);
      }
    };
    assert.is(await code(running), "ABORTED");
    assert.is((await model.complete(question, { maxTokens: 2 })).tokenIds.length, 2);
    await model.dispose();
  });
}

test("pictures and frames that are decoded already, a hundred of them, leave the thread", async () => {
  const processor = await openProcessor(DEMO);
  const images = Array.from({ length: 300 }, () => ({ type: "image", image: picture }) as const);
  const chat = (content: NonNullable<Message["content"]>): Message[] => [{ role: "user", content }];
  assert.ok(await leavesTheThread(() => processor.process(chat(images))));
  const frames = Array.from({ length: 300 }, () => picture);
  const video = { type: "video", video: { frames } } as const;
  assert.ok(await leavesTheThread(() => processor.process(chat([video]))));
});

test("a huge picture is resized with turns", async () => {
  const processor = await openProcessor(DEMO);
  const [width, height] = [9000, 9000];
  const image: RawImage = { data: new Uint8Array(3 * width * height).fill(90), width, height };
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await processor.process([{ role: "user", content: [{ type: "image", image }] }]);
  clearInterval(timer);
  // Some hundred milliseconds of work, with a turn every 20.
  assert.ok(ticks >= 5, `${ticks} ticks`);
});

test("a model is loaded from memory with turns between its weights, and stopped by a timer", async () => {
  const files = new Map(
    readdirSync(DEMO).map((name) => [name, new Blob([readFileSync(join(DEMO, name))])] as const),
  );
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 30);
  const loading = async () => {
    for (;;) await (await loadModel(files, { signal: controller.signal, backend: "wasm" })).dispose();
  };
  assert.is(await code(loading), "ABORTED");
});

test("text that can not fit the context is refused at once, and long text leaves the thread", async () => {
  const model = await loadModel(DEMO, { backend: "wasm" });
  for (const content of [" ".repeat(4e5), "a".repeat(4e6), "你".repeat(1e6), "<|user|>".repeat(1e5)]) {
    const began = process.cpuUsage();
    assert.is(await code(() => model.complete([{ role: "user", content }])), "CONTEXT_OVERFLOW");
    assert.ok(process.cpuUsage(began).user < 4e6);
  }
  const content = "a b ".repeat(3e5);
  assert.ok(await leavesTheThread(() => model.process([{ role: "user", content }])));
  await model.dispose();
});

test.run();
