/** Ways through items that Python has. */
import type { Value } from "./py-object.ts";
import type { Runtime } from "./runtime.ts";

export function characters(text: string, rt: Runtime): Iterator<Value> {
  rt.chargeText(text.length);
  return text[Symbol.iterator]();
}

export function* backwards(items: readonly Value[]): Generator<Value, void, undefined> {
  for (let index = items.length - 1; index >= 0; index--) yield items[index] as Value;
}

export function* mapped<From>(
  items: Iterable<From>,
  map: (item: From) => Value,
): Generator<Value, void, undefined> {
  for (const item of items) yield map(item);
}
