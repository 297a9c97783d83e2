/** The attributes of Python's own types. */
import { DICT_METHODS, LIST_METHODS, TUPLE_METHODS } from "./collection-methods.ts";
import { Dict } from "./dict.ts";
import type { FunctionTable } from "./functions.ts";
import { FLOAT_METHODS, INT_METHODS } from "./number-methods.ts";
import { isList, PyObject, Undefined, type Value } from "./py-object.ts";
import { Markup, Tuple } from "./sequences.ts";
import { STR_METHODS } from "./str-methods.ts";
import { numberOf } from "./values.ts";

/** Attributes that every Python object has. Templates may touch none of them. */
const OF_OBJECT = new Set(
  (
    "class delattr dir doc eq format ge getattribute getstate gt hash init init_subclass le lt ne new reduce " +
    "reduce_ex repr setattr sizeof str subclasshook"
  )
    .split(" ")
    .map((name) => `__${name}__`),
);
/** What the sandbox keeps from templates, since it would change its object. */
const CHANGES_LIST = new Set(["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"]);
const CHANGES_DICT = new Set(["clear", "pop", "popitem", "setdefault", "update"]);
/** Stands for an attribute that is there and that nobody may have. */
const HIDDEN = new Undefined("an attribute that the sandbox hides");

export function changesItsObject(value: Value, name: string): boolean {
  return isList(value) ? CHANGES_LIST.has(name) : value instanceof Dict && CHANGES_DICT.has(name);
}

export function attributeOf(value: Value, name: string): Value | undefined {
  if (OF_OBJECT.has(name) || changesItsObject(value, name)) return HIDDEN;
  const method = methodsOf(value)?.get(name);
  if (method !== undefined) return method.boundTo(value);
  if (value instanceof PyObject) return value.attribute(name);
  return numberAttribute(value, name);
}

function methodsOf(value: Value): FunctionTable | undefined {
  if (typeof value === "string" || value instanceof Markup) return STR_METHODS;
  if (isList(value)) return LIST_METHODS;
  if (value instanceof Dict) return DICT_METHODS;
  if (value instanceof Tuple) return TUPLE_METHODS;
  if (typeof value === "number") return FLOAT_METHODS;
  return typeof value === "bigint" || typeof value === "boolean" ? INT_METHODS : undefined;
}

function numberAttribute(value: Value, name: string): Value | undefined {
  const number = numberOf(value);
  if (number === undefined) return undefined;
  if (name === "real") return number;
  if (name === "imag") return typeof number === "bigint" ? 0n : 0;
  if (typeof number !== "bigint") return undefined;
  if (name === "numerator") return number;
  return name === "denominator" ? 1n : undefined;
}
