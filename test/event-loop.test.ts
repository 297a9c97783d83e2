/** Turns of the event loop, whatever a user's tests put in place of timers. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { nextTask, turnWhenDue } from "../src/event-loop.ts";

test("fake timers hold nothing up", async () => {
  const names = ["setImmediate", "setTimeout"] as const;
  const own = names.map((name) => globalThis[name]);
  const [, timeout] = own as unknown as [unknown, typeof setTimeout];
  try {
    for (const name of names) Object.assign(globalThis, { [name]: () => ({}) });
    const late = new Promise((resolve) => timeout(() => resolve("late"), 20_000));
    assert.is(await Promise.race([nextTask().then(() => "in time"), late]), "in time");
  } finally {
    for (const [i, name] of names.entries()) Object.assign(globalThis, { [name]: own[i] });
  }
});

test("no turn is taken while none is due, and one when it is", async () => {
  const { now } = performance;
  let time = now.call(performance);
  performance.now = () => time;
  try {
    await nextTask();
    let tasks = 0;
    const task = () => {
      tasks++;
    };
    setImmediate(task);
    for (let count = 0; count < 10_000; count++) await turnWhenDue();
    assert.is(tasks, 0);
    time += 1000;
    await turnWhenDue();
    assert.is(tasks, 1);
  } finally {
    performance.now = now;
  }
});

test.run();
