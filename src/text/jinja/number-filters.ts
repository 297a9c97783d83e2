/** Filters that make numbers. */
import { type FunctionTable, functions, integer, text } from "./functions.ts";
import { type Num, negate, parseFloatText, parseInteger, round, toFloat, truncate } from "./numbers.ts";
import { binary } from "./operators.ts";
import { typeName, Undefined, type Value } from "./py-object.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { numberOf, textOf } from "./values.ts";

export const NUMBER_FILTERS: FunctionTable = functions(
  ["abs x/", (_rt, value: Value) => absolute(value)],
  [
    "int value default? base?",
    (_rt, value: Value, standard: Value = 0n, base: Value = 10n) =>
      readInteger(value, integer(base)) ?? standard,
  ],
  ["float value default?", (_rt, value: Value, standard: Value = 0) => floatOf(value) ?? standard],
  [
    "round value precision? method?",
    (rt, value: Value, precision: Value = 0n, method: Value = "common") =>
      rounded(rt, value, precision, text(method, "method")),
  ],
);

function absolute(value: Value): Value {
  const number = numberOf(value);
  if (number === undefined) throw new TemplateFailure(`bad operand type for abs(): '${typeName(value)}'`);
  if (typeof number === "number") return Math.abs(number);
  return number < 0n ? negate(number) : number;
}

/** What `|int` makes of it: of a text, int() or else int(float()). */
function readInteger(value: Value, base: number): bigint | undefined {
  if (value instanceof Undefined) value.fail();
  const number = numberOf(value);
  const float = number === undefined ? textOf(value) : number;
  if (typeof float === "string") {
    if (base !== 0 && (base < 2 || base > 36)) return cutOrNone(parseFloatText(float));
    return parseInteger(float, base) ?? cutOrNone(parseFloatText(float));
  }
  if (typeof float === "bigint") return float;
  // int(inf) is an OverflowError, which nobody catches at first.
  if (float !== undefined && !Number.isFinite(float) && !Number.isNaN(float)) truncate(float);
  return cutOrNone(float);
}

function cutOrNone(float: number | undefined): bigint | undefined {
  return float === undefined || !Number.isFinite(float) ? undefined : truncate(float);
}

function floatOf(value: Value): number | undefined {
  if (value instanceof Undefined) value.fail();
  const number = numberOf(value);
  if (number !== undefined) return toFloat(number);
  const written = textOf(value);
  return written === undefined ? undefined : parseFloatText(written);
}

/** Python's float(). */
export function readFloat(value: Value): number {
  const float = floatOf(value);
  if (float === undefined) throw new TemplateFailure(`could not convert to float: '${typeName(value)}'`);
  return float;
}

function rounded(rt: Runtime, value: Value, precision: Value, method: string): Value {
  if (method !== "common" && method !== "ceil" && method !== "floor") {
    throw new TemplateFailure("method must be common, ceil or floor");
  }
  const number = numberOf(value);
  if (method === "common") {
    if (value instanceof Undefined || number === undefined) {
      throw new TemplateFailure(`type ${typeName(value)} doesn't define __round__ method`);
    }
    return round(number, BigInt(integer(precision)));
  }
  const power = binary("**", 10n, precision, rt);
  const scaled = binary("*", value, power, rt);
  return binary("/", method === "ceil" ? ceiling(scaled) : floor(scaled), power, rt);
}

function floor(value: Value): bigint {
  const number = numberOf(value) as Num;
  return typeof number === "bigint" ? number : truncate(Math.floor(number));
}

function ceiling(value: Value): bigint {
  const number = numberOf(value) as Num;
  return typeof number === "bigint" ? number : truncate(Math.ceil(number));
}
