/** Plain values of JSON that are written again as they were read. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { keptJsonText, keptOr, readKeptJson } from "../../src/json/kept.ts";

const WRITTEN = '{"10":1,"2":[3.0,12345678901234567890,-0.5e10],"a":{"b":null,"c":"\\u00fc","d":true}}';
const EXACT = '{"10":1,"2":[3.0,12345678901234567890,-5000000000.0],"a":{"b":null,"c":"ü","d":true}}';

test("what was read is plain, and written as it was", () => {
  const value = readKeptJson(WRITTEN) as { 2: unknown; a: unknown };
  assert.equal(value, JSON.parse(WRITTEN));
  assert.is(keptJsonText(value), EXACT);
  assert.is(
    keptJsonText({ x: [value.a, undefined], y: undefined }),
    '{"x":[{"b":null,"c":"ü","d":true},null]}',
  );
  assert.is(keptOr([{ of: value[2] as object }]), '[{"of":[3.0,12345678901234567890,-5000000000.0]}]');
});

test("what was not read here is written as JSON.stringify does, or left as it is", () => {
  const value = { a: [1, "b", null, true, { c: Number.NaN }], 2: undefined, d: {} };
  assert.is(keptJsonText(value), JSON.stringify(value));
  assert.is(keptOr(value), value);
});

test("what is no JSON is none, though Python would read it", () => {
  for (const text of ["", "{", "[NaN]", "{'a': 1}"])
    assert.throws(() => readKeptJson(text), SyntaxError, text);
});

test.run();
