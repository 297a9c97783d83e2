/** The right values are those of Python's json.loads. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { exactJsonText, JsonFloat, parseExactJson, plainJson } from "../../src/json/exact.ts";
import { parseJson } from "../../src/json/plain.ts";
import { JsonError } from "../../src/json/reader.ts";

/** Readings of a text: what the host's parser reads is to be the same by our own, which NaN in front forces. */
function readings(text: string): unknown[] {
  const [, own] = parseJson(`[NaN,${text}]`) as unknown[];
  return [parseJson(text), own, plainJson(parseExactJson(text))];
}

for (const [text, value] of [
  ["null", null],
  [" \t\r\n[true , false]\n", [true, false]],
  ['{"a": {"b": []}, "c": {}}', { a: { b: [] }, c: {} }],
  ['{"a": 1, "b": 2, "a": 3}', { a: 3, b: 2 }],
  ["-0.5e-3", -0.0005],
  ["1e999", Number.POSITIVE_INFINITY],
  ["[0, -0, 12, 1E+2]", [0, -0, 12, 100]],
  ["12345678901234567890", 12345678901234567000],
  ['"\\u00e9\\ud83d\\ude00 \\ud800 \\"\\\\\\/\\b\\f\\n\\r\\t"', 'é😀 \ud800 "\\/\b\f\n\r\t'],
  ['"\u2028\u007f😀"', "\u2028\u007f😀"],
  ['""', ""],
] as const) {
  test(`read: ${text}`, () => {
    for (const reading of readings(text)) assert.equal(reading, value);
  });
}

test("NaN and the infinities, as Python writes them", () => {
  assert.equal(parseJson('{"a": NaN, "b": [Infinity, -Infinity]}'), {
    a: Number.NaN,
    b: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  });
});

test("keys of objects are data", () => {
  for (const reading of readings('{"__proto__": {"x": 1}, "constructor": 2}') as object[]) {
    assert.equal(Object.keys(reading), ["__proto__", "constructor"]);
    assert.is(Object.getPrototypeOf(reading), Object.prototype);
  }
});

test("exact: floats, digits and the order of keys stay", () => {
  const value = parseExactJson('{"b": 3.0, "10": 12345678901234567890, "9": [3, 1e2, NaN], "b": 4.5}') as Map<
    string,
    unknown
  >;
  assert.equal([...value.keys()], ["b", "10", "9"]);
  assert.equal(value.get("b"), new JsonFloat(4.5));
  assert.is(value.get("10"), 12345678901234567890n);
  assert.equal(value.get("9"), [3n, new JsonFloat(100), new JsonFloat(Number.NaN)]);
});

test("exact values as text again", () => {
  const text =
    '{"b":3.0,"10":12345678901234567890,"a":[-0.0,1e+22,-7,NaN,-Infinity,null,"\\n\u00e9"],"__proto__":{}}';
  const again = exactJsonText(parseExactJson(text));
  assert.is(again, text);
  assert.equal(parseExactJson(again), parseExactJson(text));
});

for (const [text, message] of [
  ["", "Expected a value at line 1, column 1"],
  ["nul", "Expected a value at line 1, column 1"],
  ["<!doctype html>", "Expected a value at line 1, column 1"],
  ["[1, 2\n 3]", "Expected a comma or the end of the list at line 2, column 2"],
  ["[1,]", "Expected a value at line 1, column 4"],
  ['{"a": 1,\n\n}', "Expected a key in double quotes at line 3, column 1"],
  ["{'a': 1}", "Expected a key in double quotes at line 1, column 2"],
  ['{"a" 1}', "Expected a colon behind the key at line 1, column 6"],
  ['{"a": 1 "b": 2}', "Expected a comma or the end of the object at line 1, column 9"],
  ['["😀", x]', "Expected a value at line 1, column 7"],
  ["01", "More text behind the value at line 1, column 2"],
  ["1.", "More text behind the value at line 1, column 2"],
  ["-", "Expected a value at line 1, column 1"],
  ["+1", "Expected a value at line 1, column 1"],
  ["-NaN", "Expected a value at line 1, column 1"],
  ["{} {}", "More text behind the value at line 1, column 4"],
  ['["abc', "A string without an end at line 1, column 2"],
  ['"a\nb"', "A control character in a string (write it as an escape) at line 1, column 3"],
  ['"\\x41"', "An escape that JSON does not have at line 1, column 2"],
  ['"\\u12 4"', "Expected four hexadecimal digits behind \\u at line 1, column 2"],
  ["\u00a01", "Expected a value at line 1, column 1"],
  ["\ufeff{}", "A byte order mark, which JSON does not allow, at line 1, column 1"],
  [`${"9".repeat(4301)}x`, "A whole number of more than 4300 digits at line 1, column 1"],
  ["[".repeat(1001), "More than 1000 levels of lists and objects at line 1, column 1001"],
  ['{"a":'.repeat(300_000), "More than 1000 levels of lists and objects at line 1, column 5001"],
] as const) {
  test(`refused: ${text.slice(0, 20)}: ${message}`, () => {
    for (const parse of [parseJson, parseExactJson]) {
      assert.throws(
        () => parse(text),
        (error: Error) => error instanceof JsonError && error.message === message,
      );
    }
  });
}

test("depth is limited where the host's parser has no limit", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  for (const parse of [parseJson, parseExactJson]) {
    parse(nested(1000));
    assert.throws(() => parse(nested(1001)), /More than 1000 levels/);
    assert.throws(() => parse(nested(1_000_000)), /More than 1000 levels/);
  }
});

test("exact JSON on lines of its own is what JSON.stringify makes of plain values, and reads the same", () => {
  const value = { a: [1, [], {}, [2, { b: null }]], "": { c: "\n", d: true }, e: {} };
  const exact = parseExactJson(JSON.stringify(value));
  assert.is(exactJsonText(exact, 2), JSON.stringify(value, null, 2));
  const numbers = '{\n "a": 3.0,\n "b": [\n  12345678901234567890\n ]\n}';
  assert.is(exactJsonText(parseExactJson(numbers), 1), numbers);
});

test.run();
