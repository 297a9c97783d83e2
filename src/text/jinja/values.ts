/** What can be asked of any value. */
import { backwards, characters, charactersBackwards } from "./iteration.ts";
import { isList, PyObject, typeName, type Value } from "./py-object.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Markup, Tuple } from "./sequences.ts";
import { lengthOf } from "./strings.ts";

/** The text of a str (Markup is one), else undefined. */
export function textOf(value: Value): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof Markup ? value.text : undefined;
}

/** The number of an int, float or bool (which is an int), else undefined. */
export function numberOf(value: Value): bigint | number | undefined {
  if (typeof value === "bigint" || typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1n : 0n;
  return undefined;
}

export function truthy(value: Value): boolean {
  switch (typeof value) {
    case "boolean":
      return value;
    case "string":
      return value !== "";
    case "bigint":
      return value !== 0n;
    case "number":
      return value !== 0;
  }
  if (value === null) return false;
  return isList(value) ? value.length > 0 : value.truthy();
}

/** @returns undefined for what Python's iter() refuses. */
export function iteratorOf(value: Value, rt: Runtime): Iterator<Value> | undefined {
  if (typeof value === "string") return characters(value, rt);
  if (isList(value)) return value.values();
  return value instanceof PyObject ? value.iterate(rt) : undefined;
}

/** Goes through the items; each is a step. */
export function* each(value: Value, rt: Runtime): Generator<Value, void, undefined> {
  const items = iteratorOf(value, rt);
  if (items === undefined) throw new TemplateFailure(`'${typeName(value)}' object is not iterable`);
  for (let next = items.next(); !next.done; next = items.next()) {
    rt.charge(1);
    yield next.value;
  }
}

export function listOf(value: Value, rt: Runtime): Value[] {
  if (isList(value) || value instanceof Tuple) {
    const items = isList(value) ? value : value.items;
    rt.charge(1 + Math.floor(items.length / 8));
    return items.slice();
  }
  return Array.from(each(value, rt));
}

/** @throws where Python's len() does. */
export function lengthOfValue(value: Value): number {
  const text = typeof value === "string" ? value : undefined;
  if (text !== undefined) return lengthOf(text);
  const length = isList(value) || value instanceof PyObject ? value.length : undefined;
  if (length === undefined) throw new TemplateFailure(`object of type '${typeName(value)}' has no len()`);
  return length;
}

export function reversedOf(value: Value, rt: Runtime): Iterator<Value> | undefined {
  if (typeof value === "string") return charactersBackwards(value);
  if (isList(value)) return backwards(value);
  return value instanceof PyObject ? value.reversed(rt) : undefined;
}
