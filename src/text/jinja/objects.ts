/** What templates are given beside Python's own types: macros, loops, and the helpers among the globals. */

import { Dict } from "./dict.ts";
import { NativeFunction, Signature } from "./functions.ts";
import { equal } from "./operators.ts";
import { type Arguments, type Keywords, PyObject, typeName, Undefined, type Value } from "./py-object.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Tuple } from "./sequences.ts";
import { iteratorOf, lengthOfValue } from "./values.ts";

export interface MacroShape {
  /** Null for the block of a call. */
  readonly name: string | null;
  readonly parameters: readonly string[];
  readonly takesCaller: boolean;
  readonly takesKeywords: boolean;
  readonly takesMore: boolean;
}

export class Macro extends PyObject {
  readonly typeName = "Macro";
  readonly #shape: MacroShape;
  readonly #body: (rt: Runtime, values: readonly (Value | undefined)[]) => string;

  /** `body` takes a value for each parameter (undefined: not given), then caller, keywords and more arguments. */
  constructor(shape: MacroShape, body: (rt: Runtime, values: readonly (Value | undefined)[]) => string) {
    super();
    this.#shape = shape;
    this.#body = body;
  }

  override get isCallable(): boolean {
    return true;
  }

  override call(rt: Runtime, args: Arguments, keywords: Keywords): Value {
    const { name, parameters, takesCaller, takesKeywords, takesMore } = this.#shape;
    const rest = new Map(keywords);
    const values: (Value | undefined)[] = args.slice(0, parameters.length);
    let hasCaller = values.length === parameters.length && parameters.includes("caller");
    for (const parameter of parameters.slice(values.length)) {
      values.push(rest.get(parameter));
      rest.delete(parameter);
      hasCaller ||= parameter === "caller";
    }
    if (takesCaller && !hasCaller) {
      values.push(rest.get("caller") ?? new Undefined("No caller defined"));
      rest.delete("caller");
    }
    if (takesKeywords) values.push(Dict.of(rest));
    else if (rest.size > 0) {
      throw new TemplateFailure(`macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
    }
    if (takesMore) values.push(new Tuple(args.slice(parameters.length)));
    else if (args.length > parameters.length) {
      throw new TemplateFailure(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
    }
    return rt.call(() => this.#body(rt, values));
  }

  override attribute(attribute: string): Value | undefined {
    const { name, parameters, takesCaller, takesKeywords, takesMore } = this.#shape;
    switch (attribute) {
      case "name":
        return name;
      case "arguments":
        return new Tuple(parameters);
      case "caller":
        return takesCaller;
      case "catch_kwargs":
        return takesKeywords;
      case "catch_varargs":
        return takesMore;
      case "explicit_caller":
        return parameters.includes("caller");
      default:
        return undefined;
    }
  }

  repr(): string {
    const { name } = this.#shape;
    return `<Macro ${name === null ? "anonymous" : `'${name}'`}>`;
  }
}

/** `loop`: where a loop is. */
export class LoopContext extends PyObject {
  readonly typeName = "LoopContext";
  readonly #rt: Runtime;
  readonly #iterable: Value;
  #items: Iterator<Value>;
  readonly #recurse: ((items: Value, depth: number) => string) | undefined;
  readonly #depth0: number;
  #index0 = -1;
  #length: number | undefined;
  /** Looked at before its turn; undefined: nothing is. */
  #after: IteratorResult<Value> | undefined;
  #current: Value | undefined;
  #before: Value | undefined;
  #lastChanged: Value | undefined;

  constructor(rt: Runtime, iterable: Value, recurse?: (items: Value, depth: number) => string, depth0 = 0) {
    super();
    const items = iteratorOf(iterable, rt);
    if (items === undefined) throw new TemplateFailure(`'${typeName(iterable)}' object is not iterable`);
    this.#rt = rt;
    this.#iterable = iterable;
    this.#items = items;
    this.#recurse = recurse;
    this.#depth0 = depth0;
  }

  /** Goes to the next item; undefined at the end. */
  advance(): Value | undefined {
    const { done, value } = this.#after ?? this.#items.next();
    this.#after = undefined;
    if (done) return undefined;
    this.#rt.charge(1);
    this.#index0 += 1;
    this.#before = this.#current;
    this.#current = value;
    return value;
  }

  #peek(): Value | undefined {
    this.#after ??= this.#items.next();
    return this.#after.done ? undefined : this.#after.value;
  }

  #next(): Value {
    const next = this.#peek();
    return next === undefined ? new Undefined("there is no next item") : next;
  }

  override get length(): number {
    this.#length ??= this.#count();
    return this.#length;
  }

  #count(): number {
    const iterable = this.#iterable;
    if (!(iterable instanceof PyObject) || iterable.length !== undefined) return lengthOfValue(iterable);
    const rest: Value[] = [];
    for (let next = this.#items.next(); !next.done; next = this.#items.next()) {
      this.#rt.charge(1);
      rest.push(next.value);
    }
    this.#items = rest.values();
    const isAhead = this.#after !== undefined && this.#after.done !== true;
    return rest.length + this.#index0 + 1 + (isAhead ? 1 : 0);
  }

  override get isCallable(): boolean {
    return true;
  }

  override call(_rt: Runtime, args: Arguments): Value {
    if (this.#recurse === undefined) {
      throw new TemplateFailure("The loop must have the 'recursive' marker to be called recursively.");
    }
    const [items] = args;
    if (items === undefined || args.length > 1) throw new TemplateFailure("loop() takes one argument");
    return this.#recurse(items, this.#depth0 + 1);
  }

  override attribute(name: string): Value | undefined {
    const index0 = this.#index0;
    switch (name) {
      case "index0":
        return BigInt(index0);
      case "index":
        return BigInt(index0 + 1);
      case "revindex0":
        return BigInt(this.length - index0 - 1);
      case "revindex":
        return BigInt(this.length - index0);
      case "first":
        return index0 === 0;
      case "last":
        return this.#peek() === undefined;
      case "length":
        return BigInt(this.length);
      case "depth0":
        return BigInt(this.#depth0);
      case "depth":
        return BigInt(this.#depth0 + 1);
      case "previtem":
        return index0 === 0 ? new Undefined("there is no previous item") : this.#before;
      case "nextitem":
        return this.#next();
      case "cycle":
        return method("cycle *args", (_rt, args: Value) => {
          const values = args as readonly Value[];
          if (values.length === 0) throw new TemplateFailure("no items for cycling given");
          return values[index0 % values.length] as Value;
        });
      case "changed":
        return method("changed *value", (rt, args: Value) => {
          const value = new Tuple(args as readonly Value[]);
          if (this.#lastChanged !== undefined && equal(this.#lastChanged, value, rt)) return false;
          this.#lastChanged = value;
          return true;
        });
      default:
        return undefined;
    }
  }

  repr(): string {
    return `<LoopContext ${this.#index0 + 1}/${this.length}>`;
  }
}

function method(signature: string, body: ConstructorParameters<typeof NativeFunction>[1]): NativeFunction {
  const [name = "", ...parameters] = signature.split(" ");
  return new NativeFunction(new Signature(name, parameters.join(" ")), body, [], "method");
}

export class Cycler extends PyObject {
  readonly typeName = "Cycler";
  readonly #items: readonly Value[];
  #position = 0;

  constructor(items: readonly Value[]) {
    super();
    if (items.length === 0) throw new TemplateFailure("at least one item has to be provided");
    this.#items = items;
  }

  override attribute(name: string): Value | undefined {
    const current = this.#items[this.#position] as Value;
    switch (name) {
      case "items":
        return new Tuple(this.#items);
      case "pos":
        return BigInt(this.#position);
      case "current":
        return current;
      case "next":
        return method("next", () => {
          const value = this.#items[this.#position] as Value;
          this.#position = (this.#position + 1) % this.#items.length;
          return value;
        });
      case "reset":
        return method("reset", () => {
          this.#position = 0;
          return null;
        });
      default:
        return undefined;
    }
  }

  repr(): string {
    return "<jinja2.utils.Cycler object>";
  }
}

export class Joiner extends PyObject {
  readonly typeName = "Joiner";
  readonly #separator: Value;
  #isUsed = false;

  constructor(separator: Value) {
    super();
    this.#separator = separator;
  }

  override get isCallable(): boolean {
    return true;
  }

  override call(): Value {
    const result = this.#isUsed ? this.#separator : "";
    this.#isUsed = true;
    return result;
  }

  override attribute(name: string): Value | undefined {
    if (name === "sep") return this.#separator;
    return name === "used" ? this.#isUsed : undefined;
  }

  repr(): string {
    return "<jinja2.utils.Joiner object>";
  }
}
