/** Ways through items that Python has. */
import type { Value } from "./py-object.ts";
import type { Runtime } from "./runtime.ts";
import { characterBefore } from "./strings.ts";

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

export function* charactersBackwards(text: string): Generator<Value, void, undefined> {
  for (let end = text.length; end > 0; ) {
    const character = characterBefore(text, end);
    yield character;
    end -= character.length;
  }
}
