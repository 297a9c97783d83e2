/** How long slices of a run get. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SliceBudget } from "../../src/backends/wasm/slices.ts";
import { TURN_MS } from "../../src/event-loop.ts";

test("slices come to fill a turn, whatever the machine's speed", () => {
  for (const rate of [1e4, 1e7]) {
    const budget = new SliceBudget();
    for (let slice = 0; slice < 60; slice++) budget.learn(budget.operations / rate);
    const milliseconds = budget.operations / rate;
    assert.ok(milliseconds > TURN_MS * 0.6 && milliseconds < TURN_MS * 1.6, `${milliseconds} ms`);
  }
});

test("a clock that stands still while code runs does not make them endless, and a moving one is believed again", () => {
  const budget = new SliceBudget();
  for (let slice = 0; slice < 3000; slice++) budget.learn(0);
  assert.ok(Number.isFinite(budget.operations));
  for (let slice = 0; slice < 60; slice++) budget.learn(budget.operations / 1e6);
  assert.ok(budget.operations / 1e6 < TURN_MS * 1.6);
});

test.run();
