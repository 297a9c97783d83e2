/** Models of a worker that nobody holds any more, and that nobody disposed of. */
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Listener, Loaded, ModelConnection } from "../../src/remote/connection.ts";
import { RemoteModel } from "../../src/remote/remote-model.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** A worker's end of the way, which answers `tokenize` when it is told to. */
function pretendWorker() {
  const told: string[] = [];
  const listeners = new Map<number, Listener>();
  let answer = () => {};
  const connection = {
    listen: (model: number, listener: Listener) => listeners.set(model, listener),
    forget: (model: number) => listeners.delete(model),
    call: (model: number, method: string) => {
      told.push(`${method} ${model}`);
      return method === "dispose"
        ? Promise.resolve()
        : new Promise<number[]>((resolve) => {
            answer = () => resolve([7]);
          });
    },
  } as unknown as ModelConnection;
  const load = (number: number) =>
    new RemoteModel(connection, number, { facts: {}, state: {} } as Loaded, () =>
      told.push(`free ${number}`),
    );
  return { told, listeners, load, answer: () => answer() };
}

async function collectSometimes(isDone: () => boolean, rounds: number): Promise<void> {
  for (let round = 0; round < rounds && !isDone(); round++) {
    collect();
    await sleep(10);
  }
}

test("one that nobody can reach is disposed of in the worker, once", async () => {
  const { told, listeners, load } = pretendWorker();
  const kept = load(1);
  load(2);
  await collectSometimes(() => listeners.size === 1, 500);
  assert.equal(told, ["dispose 2", "free 2"]);
  await kept.dispose();
  assert.equal(told, ["dispose 2", "free 2", "dispose 1", "free 1"]);
});

test("one that was disposed of, or lost with its worker, is not disposed of again", async () => {
  const { told, load, listeners } = pretendWorker();
  await load(1).dispose();
  load(2);
  listeners.get(2)?.lose(new Error("the worker has ended") as never);
  await collectSometimes(() => false, 10);
  assert.equal(told, ["dispose 1", "free 1", "free 2"]);
});

test("one that answers is there until it has", async () => {
  const { told, listeners, load, answer } = pretendWorker();
  const ids = load(1).tokenize("a");
  await collectSometimes(() => false, 10);
  assert.equal(told, ["tokenize 1"]);
  answer();
  assert.equal(await ids, [7]);
  await collectSometimes(() => listeners.size === 0, 500);
  assert.equal(told, ["tokenize 1", "dispose 1", "free 1"]);
});

test.run();
