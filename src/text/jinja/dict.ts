/** Python's dict, its views and what its keys are equal by. */
import { backwards, mapped } from "./iteration.ts";
import { PyObject, typeName, Undefined, type Value } from "./py-object.ts";
import { repr } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Markup, Tuple } from "./sequences.ts";

/** Items in the order in which their keys came; 1, 1.0 and True are one key. */
export class Dict extends PyObject {
  readonly typeName = "dict";
  readonly entries = new Map<unknown, readonly [key: Value, value: Value]>();

  static of(entries: Iterable<readonly [string, Value]>): Dict {
    const dict = new Dict();
    for (const [key, value] of entries) dict.entries.set(hashOf(key), [key, value]);
    return dict;
  }

  set(key: Value, value: Value): void {
    const hash = hashOf(key);
    // The first of equal keys is kept.
    this.entries.set(hash, [this.entries.get(hash)?.[0] ?? key, value]);
  }

  get(key: Value): Value | undefined {
    return this.entries.get(hashOf(key))?.[1];
  }

  override get length(): number {
    return this.entries.size;
  }

  keys(): Value[] {
    return Array.from(this.entries.values(), ([key]) => key);
  }

  override iterate(): Iterator<Value> {
    return mapped(this.entries.values(), ([key]) => key);
  }

  override reversed(): Iterator<Value> {
    return backwards(this.keys());
  }

  override item(key: Value): Value | undefined {
    return isHashable(key) ? this.get(key) : undefined;
  }

  override contains(key: Value): boolean {
    return this.entries.has(hashOf(key));
  }

  repr(rt: Runtime): string {
    return rt.nested(() => {
      const items = Array.from(
        this.entries.values(),
        ([key, value]) => `${repr(key, rt)}: ${repr(value, rt)}`,
      );
      return rt.text(`{${items.join(", ")}}`);
    });
  }
}

/** dict.keys(), dict.values() and dict.items(). */
export class DictView extends PyObject {
  readonly typeName: string;
  readonly dict: Dict;
  readonly #of: (entry: readonly [Value, Value]) => Value;

  constructor(dict: Dict, kind: "keys" | "values" | "items") {
    super();
    this.typeName = `dict_${kind}`;
    this.dict = dict;
    this.#of = VIEWS[kind];
  }

  override get length(): number {
    return this.dict.length;
  }

  override iterate(): Iterator<Value> {
    return mapped(this.dict.entries.values(), this.#of);
  }

  override reversed(): Iterator<Value> {
    return backwards(this.items());
  }

  items(): Value[] {
    return Array.from(this.dict.entries.values(), this.#of);
  }

  override contains(key: Value): boolean | undefined {
    return this.typeName === "dict_keys" ? this.dict.contains(key) : undefined;
  }

  repr(rt: Runtime): string {
    return `${this.typeName}(${repr(this.items(), rt)})`;
  }
}

const VIEWS = {
  keys: ([key]: readonly [Value, Value]): Value => key,
  values: ([, value]: readonly [Value, Value]): Value => value,
  items: (entry: readonly [Value, Value]): Value => new Tuple(entry),
};

/** What `namespace()` makes; the only thing that a template can write to. */
export class Namespace extends PyObject {
  readonly typeName = "Namespace";
  readonly attributes = new Dict();

  override attribute(name: string): Value | undefined {
    return this.attributes.get(name);
  }

  repr(rt: Runtime): string {
    return `<Namespace ${this.attributes.repr(rt)}>`;
  }
}

const NONE_KEY = Symbol("None");
const UNDEFINED_KEY = Symbol("Undefined");
const NAN_KEY = Symbol("nan");

/** Equal for the keys that Python takes for one. */
export function hashOf(key: Value): unknown {
  if (typeof key === "string") return key.startsWith("\0") ? `\0s${key}` : key;
  if (typeof key === "boolean") return key ? 1n : 0n;
  if (typeof key === "bigint") return key;
  if (typeof key === "number") {
    if (Number.isInteger(key)) return BigInt(key);
    return Number.isNaN(key) ? NAN_KEY : key;
  }
  if (key === null) return NONE_KEY;
  if (key instanceof Undefined) return UNDEFINED_KEY;
  if (key instanceof Markup) return hashOf(key.text);
  if (key instanceof Tuple) return tupleHash(key.items);
  if (!isHashable(key)) throw new TemplateFailure(`unhashable type: '${typeName(key)}'`);
  return key;
}

/** Longer ones no template needs. */
const MAX_KEY = 100_000;

function tupleHash(items: readonly Value[]): string {
  let text = "\0t";
  for (const item of items) {
    text += hashText(hashOf(item));
    if (text.length > MAX_KEY) throw new TemplateFailure("a key is too large");
  }
  return text;
}

const objects = new WeakMap<object, number>();
let numObjects = 0;

/** A text that tells hashes apart, also inside of another. */
function hashText(hash: unknown): string {
  let text = `${typeof hash}:${String(typeof hash === "object" ? "" : hash)}`;
  if (typeof hash === "object" && hash !== null) {
    if (!objects.has(hash)) objects.set(hash, numObjects++);
    text += objects.get(hash);
  }
  return `${text.length}:${text}`;
}

function isHashable(key: Value): boolean {
  if (key instanceof Tuple) return key.items.every(isHashable);
  // Keys and items of a dict are sets.
  const isSet = key instanceof DictView && key.typeName !== "dict_values";
  return !Array.isArray(key) && !(key instanceof Dict) && !isSet;
}
