/** Many requests beside each other listen to no one signal: Node.js 20 warns of more than ten listeners in its console. */
import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadModel } from "../../src/index.ts";
import { chat } from "./company.ts";

const MOST_BEFORE_A_WARNING = 10;

/** The most listeners for an abort that one signal, or this one, had at a time while `work` ran. */
async function mostListeners(work: () => Promise<unknown>, only?: AbortSignal): Promise<number> {
  const { addEventListener, removeEventListener } = EventTarget.prototype;
  const listeners = new Map<EventTarget, Set<unknown>>();
  let most = 0;
  EventTarget.prototype.addEventListener = function (type, listener, options) {
    if (type === "abort" && (!only || this === only)) {
      const own = listeners.get(this) ?? new Set();
      listeners.set(this, own.add(listener));
      most = Math.max(most, own.size);
    }
    addEventListener.call(this, type, listener, options);
  };
  EventTarget.prototype.removeEventListener = function (type, listener, options) {
    if (type === "abort") listeners.get(this)?.delete(listener);
    removeEventListener.call(this, type, listener, options);
  };
  try {
    await work();
  } finally {
    Object.assign(EventTarget.prototype, { addEventListener, removeEventListener });
  }
  return most;
}

test("24 requests with pictures that share the caller's signal: few listeners on it", async () => {
  const model = await loadModel("test/golden/data/glm_ocr-tiny", { backend: "wasm", threads: 1 });
  const { signal } = new AbortController();
  const data = `data:image/png;base64,${readFileSync("test/golden/data/images/small.png").toString("base64")}`;
  const asking = [{ role: "user" as const, content: [{ type: "image" as const, image: data }] }];
  const ask = () => model.complete(asking, { maxTokens: 2, signal });
  const most = await mostListeners(() => Promise.all(Array.from({ length: 24 }, ask)), signal);
  await model.dispose();
  assert.ok(most <= 1, `${most} listeners`);
});

for (const maxSequences of [1, 32]) {
  test(`24 requests, ${maxSequences} a step: few listeners on each signal`, async () => {
    const model = await loadModel("test/golden/data/glm_ocr-tiny", {
      backend: "wasm",
      threads: 1,
      maxSequences,
    });
    const ask = () => model.complete(chat("Hello"), { maxTokens: 3 });
    const most = await mostListeners(() => Promise.all(Array.from({ length: 24 }, ask)));
    await model.dispose();
    assert.ok(most >= 1 && most <= MOST_BEFORE_A_WARNING, `${most} listeners`);
  });
}

test.run();
