/** Python's tuple and range, iterators, and Jinja's safe text. */
import { backwards, characters } from "./iteration.ts";
import { PyObject, type Value } from "./py-object.ts";
import { quoted, reprAll } from "./repr.ts";
import type { Runtime } from "./runtime.ts";
import { lengthOf } from "./strings.ts";

export class Tuple extends PyObject {
  readonly typeName: string = "tuple";
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    super();
    this.items = items;
  }

  override get length(): number {
    return this.items.length;
  }

  override iterate(): Iterator<Value> {
    return this.items.values();
  }

  override reversed(): Iterator<Value> {
    return backwards(this.items);
  }

  repr(rt: Runtime): string {
    const items = reprAll(this.items, rt);
    return items.length === 1 ? `(${items[0]},)` : `(${items.join(", ")})`;
  }
}

/** What groupby gives: a tuple whose two items have names. */
export class Group extends Tuple {
  override readonly typeName = "_GroupTuple";

  override attribute(name: string): Value | undefined {
    if (name === "grouper") return this.items[0];
    return name === "list" ? this.items[1] : undefined;
  }
}

export class Range extends PyObject {
  readonly typeName = "range";
  readonly start: number;
  readonly step: number;
  readonly stop: number;
  readonly #length: number;

  constructor(start: number, stop: number, step: number) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
    this.#length = Math.max(0, Math.ceil((stop - start) / step));
  }

  override get length(): number {
    return this.#length;
  }

  at(index: number): Value {
    return BigInt(this.start + index * this.step);
  }

  override *iterate(): Iterator<Value> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  override *reversed(): Iterator<Value> {
    for (let index = this.length - 1; index >= 0; index--) yield this.at(index);
  }

  repr(): string {
    const { start, stop, step } = this;
    return step === 1 ? `range(${start}, ${stop})` : `range(${start}, ${stop}, ${step})`;
  }
}

/** What can be gone through once: Python's generators and iterators. */
export class PyIterator extends PyObject {
  readonly typeName: string;
  readonly #items: Iterator<Value>;

  constructor(items: Iterator<Value>, typeName = "generator") {
    super();
    this.#items = items;
    this.typeName = typeName;
  }

  override iterate(): Iterator<Value> {
    return this.#items;
  }

  repr(): string {
    return `<${this.typeName} object>`;
  }
}

/** Text that counts as safe in HTML: what is joined to it is escaped. */
export class Markup extends PyObject {
  readonly typeName = "Markup";
  readonly text: string;

  constructor(text: string) {
    super();
    this.text = text;
  }

  override get length(): number {
    return lengthOf(this.text);
  }

  override iterate(rt: Runtime): Iterator<Value> {
    return characters(this.text, rt);
  }

  repr(rt: Runtime): string {
    return `Markup(${rt.text(quoted(this.text))})`;
  }

  override str(): string {
    return this.text;
  }
}
