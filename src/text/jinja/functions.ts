/** Functions of ours that a template calls: their parameters, bound as Python binds them. */

import { Dict } from "./dict.ts";
import { type Arguments, type Keywords, PyObject, typeName, Undefined, type Value } from "./py-object.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { numberOf, textOf, truthy } from "./values.ts";

/**
 * Takes a value for each parameter, undefined where it is not given; for `*name` a list, for `**name` a Dict. (A
 * method, so that a function may say which of its parameters are always there.)
 */
type Body = { call(rt: Runtime, ...values: (Value | undefined)[]): Value }["call"];

interface Parameter {
  readonly name: string;
  readonly isOptional: boolean;
}

/** "self/ sep? max? *rest **more": `?` may be left out, what stands before `/` has no keyword. */
export class Signature {
  readonly parameters: readonly Parameter[];
  readonly #numPositional: number;
  readonly #takesRest: boolean;
  readonly #takesMore: boolean;
  readonly name: string;

  constructor(name: string, text: string) {
    this.name = name;
    const words = text.split(" ").filter((word) => word !== "");
    const plain = words.filter((word) => !word.startsWith("*"));
    this.parameters = plain.map((word) => ({
      name: word.replace(/[?/]+$/, ""),
      isOptional: word.includes("?"),
    }));
    this.#numPositional = plain.findLastIndex((word) => word.endsWith("/")) + 1;
    this.#takesMore = words.some((word) => word.startsWith("**"));
    this.#takesRest = words.some((word) => /^\*[^*]/.test(word));
  }

  bind(args: Arguments, keywords: Keywords): (Value | undefined)[] {
    const { parameters, name } = this;
    const values: (Value | undefined)[] = parameters.map((_, index) => args[index]);
    const more = new Dict();
    for (const [keyword, value] of keywords) {
      const index = parameters.findIndex((parameter) => parameter.name === keyword);
      if (index >= this.#numPositional && values[index] === undefined) values[index] = value;
      else if (this.#takesMore) more.set(keyword, value);
      else if (index >= this.#numPositional) {
        throw new TemplateFailure(`${name}() got multiple values for argument '${keyword}'`);
      } else throw new TemplateFailure(`${name}() got an unexpected keyword argument '${keyword}'`);
    }
    const absent = parameters.find(({ isOptional }, index) => !isOptional && values[index] === undefined);
    if (absent !== undefined) {
      throw new TemplateFailure(`${name}() missing required argument '${absent.name}'`);
    }
    if (this.#takesRest) values.push(args.slice(parameters.length));
    else if (args.length > parameters.length) {
      throw new TemplateFailure(
        `${name}() takes at most ${parameters.length} arguments (${args.length} given)`,
      );
    }
    if (this.#takesMore) values.push(more);
    return values;
  }
}

/** A function as templates see it; of a method, the first value is bound. */
export class NativeFunction extends PyObject {
  readonly typeName: string;
  readonly #signature: Signature;
  readonly #body: Body;
  readonly #self: readonly Value[];

  constructor(signature: Signature, body: Body, self: readonly Value[] = [], type = "function") {
    super();
    this.#signature = signature;
    this.#body = body;
    this.#self = self;
    this.typeName = type;
  }

  boundTo(self: Value): NativeFunction {
    return new NativeFunction(this.#signature, this.#body, [self], "builtin_function_or_method");
  }

  override get isCallable(): boolean {
    return true;
  }

  override call(rt: Runtime, args: Arguments, keywords: Keywords): Value {
    rt.charge(1);
    const all = this.#self.length === 0 ? args : [...this.#self, ...args];
    return this.#body(rt, ...this.#signature.bind(all, keywords));
  }

  repr(): string {
    return `<${this.typeName} ${this.#signature.name}>`;
  }
}

export type FunctionTable = ReadonlyMap<string, NativeFunction>;

/** Functions by name, of a list of [signature with the name in front, body]. */
export function functions(...list: readonly (readonly [signature: string, body: Body])[]): FunctionTable {
  return new Map(
    list.map(([text, body]) => {
      const [name = "", ...parameters] = text.split(" ");
      return [name, new NativeFunction(new Signature(name, parameters.join(" ")), body)];
    }),
  );
}

/** An int (or bool) as a number, within what a number can count. */
export function integer(value: Value): number {
  const number = numberOf(value);
  if (typeof number === "bigint") return Number(number);
  if (value instanceof Undefined) value.fail();
  throw new TemplateFailure(`'${typeName(value)}' object cannot be interpreted as an integer`);
}

/** The text of a str. */
export function text(value: Value, what: string): string {
  const found = textOf(value);
  if (found === undefined) throw new TemplateFailure(`${what} must be str, not ${typeName(value)}`);
  return found;
}

/** None and what is not given are null. */
export function textOrNone(value: Value | undefined, what: string): string | null {
  return value === undefined || value === null ? null : text(value, what);
}

export function flag(value: Value | undefined, standard = false): boolean {
  return value === undefined ? standard : truthy(value);
}
