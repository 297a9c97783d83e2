/** Jinja's tests: what may stand behind `is`. */

import { Dict } from "./dict.ts";
import { type FunctionTable, functions } from "./functions.ts";
import { isLower, isUpper } from "./letters.ts";
import { binary, type Comparison, compare, contains } from "./operators.ts";
import { isList, PyObject, Undefined, type Value } from "./py-object.ts";
import { str } from "./repr.ts";
import type { Runtime } from "./runtime.ts";
import { Markup, Range, Tuple } from "./sequences.ts";
import { iteratorOf, numberOf, textOf } from "./values.ts";

const compared =
  (operator: Comparison) =>
  (rt: Runtime, value: Value, other: Value): Value =>
    compare(operator, value, other, rt);

const restIs = (rest: bigint) => (rt: Runtime, value: Value) =>
  compare("==", binary("%", value, 2n, rt), rest, rt);

/** The tests of filters' names and of tests' names are made where those are known. */
export const TESTS: FunctionTable = functions(
  ["odd value", restIs(1n)],
  ["even value", restIs(0n)],
  [
    "divisibleby value num",
    (rt, value: Value, by: Value) => compare("==", binary("%", value, by, rt), 0n, rt),
  ],
  ["defined value", (_rt, value: Value) => !(value instanceof Undefined)],
  ["undefined value", (_rt, value: Value) => value instanceof Undefined],
  ["none value", (_rt, value: Value) => value === null],
  ["boolean value", (_rt, value: Value) => typeof value === "boolean"],
  ["false value", (_rt, value: Value) => value === false],
  ["true value", (_rt, value: Value) => value === true],
  ["integer value", (_rt, value: Value) => typeof value === "bigint"],
  ["float value", (_rt, value: Value) => typeof value === "number"],
  ["lower value", (rt, value: Value) => isLower(str(value, rt))],
  ["upper value", (rt, value: Value) => isUpper(str(value, rt))],
  ["string value", (_rt, value: Value) => textOf(value) !== undefined],
  ["mapping value", (_rt, value: Value) => value instanceof Dict],
  ["number value", (_rt, value: Value) => numberOf(value) !== undefined],
  ["sequence value", (_rt, value: Value) => isSequence(value)],
  ["iterable value", (rt, value: Value) => iteratorOf(value, rt) !== undefined],
  ["callable value", (_rt, value: Value) => value instanceof PyObject && value.isCallable],
  ["sameas value other", (_rt, value: Value, other: Value) => value === other],
  ["escaped value", (_rt, value: Value) => value instanceof Markup],
  ["in value seq", (rt, value: Value, sequence: Value) => contains(sequence, value, rt)],
  ...(["==", "eq", "equalto"] as const).map((name) => [`${name} a/ b/`, compared("==")] as const),
  ...(["!=", "ne"] as const).map((name) => [`${name} a/ b/`, compared("!=")] as const),
  ...([">", "gt", "greaterthan"] as const).map((name) => [`${name} a/ b/`, compared(">")] as const),
  ...([">=", "ge"] as const).map((name) => [`${name} a/ b/`, compared(">=")] as const),
  ...(["<", "lt", "lessthan"] as const).map((name) => [`${name} a/ b/`, compared("<")] as const),
  ...(["<=", "le"] as const).map((name) => [`${name} a/ b/`, compared("<=")] as const),
);

/** Has a length and items by place or key. */
function isSequence(value: Value): boolean {
  if (isList(value) || textOf(value) !== undefined) return true;
  return (
    value instanceof Tuple || value instanceof Dict || value instanceof Range || value instanceof Undefined
  );
}
