/** The methods of int and float that make sense in a template. */
import { type FunctionTable, functions } from "./functions.ts";
import { bitLength, truncate } from "./numbers.ts";
import type { Value } from "./py-object.ts";
import { Tuple } from "./sequences.ts";
import { numberOf } from "./values.ts";

const whole = (value: Value) => numberOf(value) as bigint;
const float = (value: Value) => numberOf(value) as number;

export const INT_METHODS: FunctionTable = functions(
  ["bit_length self/", (_rt, self: Value) => BigInt(bitLength(whole(self)))],
  ["bit_count self/", (_rt, self: Value) => BigInt(whole(self).toString(2).replace(/[^1]/g, "").length)],
  ["conjugate self/", (_rt, self: Value) => whole(self)],
  ["as_integer_ratio self/", (_rt, self: Value) => new Tuple([whole(self), 1n])],
);

export const FLOAT_METHODS: FunctionTable = functions(
  ["is_integer self/", (_rt, self: Value) => Number.isInteger(float(self))],
  ["conjugate self/", (_rt, self: Value) => self],
  ["as_integer_ratio self/", (_rt, self: Value) => ratio(float(self))],
);

function ratio(value: number): Tuple {
  truncate(value);
  let [top, bottom] = [value, 1n];
  while (!Number.isInteger(top)) {
    top *= 2;
    bottom *= 2n;
  }
  return new Tuple([BigInt(top), bottom]);
}
