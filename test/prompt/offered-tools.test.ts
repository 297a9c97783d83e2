/** The functions that a prompt offers, as grammars of their calls take them. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { offeredTools } from "../../src/prompt/offered-tools.ts";

test("schemas of arguments are as they were written: whole numbers have all their digits", () => {
  const parameters = '{"type":"object","properties":{"id":{"enum":[1152921504606846977,3.0]}}}';
  const called = `{"name":"f","parameters":${parameters}}`;
  for (const tool of [called, `{"type":"function","function":${called}}`]) {
    assert.equal(offeredTools(`[${tool}]`), [{ name: "f", parameters }]);
  }
});

test("tools as objects, without arguments, and without a name that can be called", () => {
  assert.equal(offeredTools([{ name: "f", parameters: { type: "object" } }, { function: { name: "g" } }]), [
    { name: "f", parameters: '{"type":"object"}' },
    { name: "g", parameters: null },
  ]);
  for (const tool of [{}, { function: "f" }, { name: " f" }, { function: { name: 1 } }]) {
    assert.throws(() => offeredTools([tool]), /tools\[0\] has the name/);
  }
});

test.run();
