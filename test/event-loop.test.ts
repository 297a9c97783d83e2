/** Turns of the event loop, whatever a user's tests put in place of timers. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nextTask } from "../src/event-loop.ts";

test("fake timers hold nothing up", async () => {
  const names = ["setImmediate", "setTimeout"] as const;
  const own = names.map((name) => globalThis[name]);
  const [, timeout] = own as unknown as [unknown, typeof setTimeout];
  try {
    for (const name of names) Object.assign(globalThis, { [name]: () => ({}) });
    const late = new Promise((resolve) => timeout(() => resolve("late"), 1000));
    assert.is(await Promise.race([nextTask().then(() => "in time"), late]), "in time");
  } finally {
    for (const [i, name] of names.entries()) Object.assign(globalThis, { [name]: own[i] });
  }
});

test.run();
