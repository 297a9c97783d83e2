/** A stream that is left while it is read: with the model in a worker, which is ahead of who reads, as with it on this thread. */
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Message, Model } from "../../src/index.ts";

/** The built package: the worker's file lies beside it. */
const { loadModel } = (await import(
  pathToFileURL("dist/index.js").href
)) as typeof import("../../src/index.ts");

const question: Message[] = [{ role: "user", content: "What is it?" }];
type Run = ReturnType<Model["generate"]>;

/** Of a stream that is left behind its third event: how it ended. The worker has made all of it by the second. */
async function leftWhileRead(model: Model, leave: (control: AbortController, run: Run) => void) {
  const control = new AbortController();
  const run = model.generate(question, { maxTokens: 12, ignoreEos: true, signal: control.signal });
  let count = 0;
  const read = async () => {
    for await (const _ of run) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      if (++count === 3) leave(control, run);
    }
  };
  const failure = (task: Promise<unknown>) =>
    task.then(
      () => "nothing failed",
      ({ code, message, cause }) => [code, message, cause?.message],
    );
  return { reading: await failure(read()), count, result: await failure(run.result) };
}

for (const [how, leave, reason] of [
  ["its signal fires", (control) => control.abort(new Error("enough")), "enough"],
  ["its run is aborted", (_, run) => run.abort(), "This operation was aborted"],
] as const satisfies readonly [string, (control: AbortController, run: Run) => void, unknown][]) {
  test(`nothing more is read once ${how}`, async () => {
    for (const worker of [false, true]) {
      const model = await loadModel("test/golden/data/glm_ocr-tiny", { backend: "wasm", threads: 1, worker });
      const found = await leftWhileRead(model, leave);
      await model.dispose();
      const ended = ["ABORTED", "The operation was aborted.", reason];
      assert.is(found.count, 3, `worker: ${worker}`);
      assert.equal(
        JSON.stringify([found.reading, found.result]),
        JSON.stringify([ended, ended]),
        `worker: ${worker}`,
      );
    }
  });
}

test.run();
