/** A real worker whose models nobody holds: what is under way goes to its end, then the worker ends. */
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Message } from "../../src/index.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** The built package: the worker's file lies beside it. */
const { loadModel } = (await import(
  pathToFileURL("dist/index.js").href
)) as typeof import("../../src/index.ts");
const load = () => loadModel("test/golden/data/glm_ocr-tiny", { backend: "wasm", threads: 1, worker: true });
const HELLO: Message[] = [{ role: "user", content: "hello" }];
const ASKED = { maxTokens: 40, ignoreEos: true };

const workers = () => (process.report.getReport() as unknown as { workers: unknown[] }).workers.length;

/** Until it is true; the run's limit of time ends what never is. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) {
    collect();
    await sleep(20);
  }
}

test("what a dropped model was asked is answered first", async () => {
  const before = workers();
  await (async () => {
    // The caller holds the answers alone.
    const whole = (async () => (await load()).complete(HELLO, ASKED))();
    const pieces: string[] = [];
    for await (const { text } of await (async () => (await load()).generate(HELLO, ASKED))()) {
      collect();
      await sleep(1);
      pieces.push(text);
    }
    assert.is(pieces.join(""), (await whole).text);
  })();
  await until(() => workers() === before);
});

test.run();
