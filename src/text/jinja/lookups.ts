/** What filters do to each item first: `attribute="a.0.b"`, with letters' case ignored. */
import { isDigit } from "./letters.ts";
import { like } from "./markup.ts";
import { parseInteger } from "./numbers.ts";
import { getItem } from "./operators.ts";
import { Undefined, type Value } from "./py-object.ts";
import type { Runtime } from "./runtime.ts";
import { textOf } from "./values.ts";

export interface LookUpOptions {
  /** None: the item itself. */
  readonly attribute: Value | undefined;
  readonly ignoresCase?: boolean;
  /** In place of what is undefined; None: nothing is. */
  readonly standard?: Value;
}

export function lookUp(
  { attribute = null, ignoresCase = false, standard = null }: LookUpOptions,
  rt: Runtime,
): (item: Value) => Value {
  const parts = partsOf(attribute);
  return (item) => {
    let value = item;
    for (const part of parts) {
      value = getItem(value, part, rt);
      if (standard !== null && value instanceof Undefined) value = standard;
    }
    return ignoresCase ? lowered(value, rt) : value;
  };
}

/** Several attributes, with commas between them, as a list. */
export function lookUps(
  { attribute = null, ignoresCase = false }: LookUpOptions,
  rt: Runtime,
): (item: Value) => Value {
  const text = textOf(attribute);
  const attributes = text === undefined ? [attribute] : text.split(",");
  const getters = attributes.map((one) => lookUp({ attribute: one, ignoresCase }, rt));
  return (item) => getters.map((get) => get(item));
}

function partsOf(attribute: Value): Value[] {
  if (attribute === null) return [];
  const text = textOf(attribute);
  if (text === undefined) return [attribute];
  return text.split(".").map((part) => (isDigit(part) ? (parseInteger(part, 10) ?? part) : part));
}

function lowered(value: Value, rt: Runtime): Value {
  const text = textOf(value);
  return text === undefined ? value : like(value, rt.text(text.toLowerCase()));
}
