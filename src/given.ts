/**
 * What callers give is read once, whatever it is, and described without asking it: a getter, a Proxy or an odd type can
 * neither answer a check otherwise than the work, nor come out as an error that is not ours.
 */
import { type ErrorCode, GlimtError } from "./errors.ts";

export type Kind = "boolean" | "function" | "list" | "number" | "object" | "signal" | "string";

/** For messages: short, and safe for symbols, functions, and objects that throw. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null) return String(value);
  try {
    if (Array.isArray(value)) return `a list of ${value.length}`;
    const { name } = Object.getPrototypeOf(value)?.constructor ?? {};
    return typeof name === "string" && name !== "" && name !== "Object" ? `a ${name}` : "an object";
  } catch {
    return "an object that can not be read";
  }
}

/** What `read` gives. @throws an error of `code` about `name` in place of what the caller's own code throws */
export function readOnce<T>(name: string, read: () => T, code: ErrorCode = "INPUT_INVALID"): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof GlimtError) throw cause;
    throw new GlimtError(code, `${name} can not be read: it throws ${shownError(cause)}.`, { cause });
  }
}

function shownError(cause: unknown): string {
  return cause instanceof Error ? readOnce("an error", () => shown(String(cause.message))) : shown(cause);
}

const IS: Readonly<Record<Kind, readonly [is: (value: unknown) => boolean, expected: string]>> = {
  boolean: [(value) => typeof value === "boolean", "true or false"],
  function: [(value) => typeof value === "function", "a function"],
  list: [(value) => Array.isArray(value), "a list"],
  number: [(value) => typeof value === "number", "a number"],
  object: [(value) => typeof value === "object" && !Array.isArray(value) && !isMap(value), "an object"],
  signal: [isAbortSignal, "an AbortSignal"],
  string: [(value) => typeof value === "string", "a string"],
};

/** Its entries are no fields: read as an object it would be empty, and what it says lost. */
function isMap(value: unknown): boolean {
  return Object.prototype.toString.call(value) === "[object Map]";
}

/** Also of another realm, as of a frame of the page. */
function isAbortSignal(value: unknown): boolean {
  const aborted = Object.getOwnPropertyDescriptor(AbortSignal.prototype, "aborted")?.get;
  try {
    return typeof aborted?.call(value) === "boolean";
  } catch {
    return false;
  }
}

/** Options that mean the same everywhere. */
const COMMON: Readonly<Record<string, Kind>> = { signal: "signal", onProgress: "function" };

/**
 * A copy of an options object: what is undefined or null is not set, lists are copied.
 *
 * @param what whose options they are
 * @param kinds of the options for which the type says it all
 * @throws OPTION_INVALID naming the option; misspelt ones are errors, since they would do nothing.
 */
export function readOptions<T extends object>(
  given: T | undefined,
  what: string,
  names: readonly string[],
  kinds: Readonly<Record<string, Kind>> = {},
  code: ErrorCode = "OPTION_INVALID",
): T {
  if (given === undefined) return {} as T;
  const wrong = (message: string) => new GlimtError(code, message);
  const isObject = typeof given === "object" && given !== null;
  if (!isObject || readOnce(what, () => Array.isArray(given) || isMap(given), code)) {
    throw wrong(`${what}: expected an object, found ${shown(given)}.`);
  }
  const keys = readOnce(what, () => [...Object.keys(given), ...Object.getOwnPropertySymbols(given)], code);
  for (const key of keys) {
    if (typeof key === "string" && names.includes(key)) continue;
    const meant = names.find((name) => bareLetters(name) === bareLetters(String(key)));
    const hint = meant === undefined ? "" : ` (${meant} is meant?)`;
    throw wrong(`${what} has no option ${shown(key)}${hint}; it has ${[...new Set(names)].join(", ")}.`);
  }
  const options: Record<string, unknown> = {};
  for (const name of new Set(names)) {
    const value: unknown = readOnce(name, () => given[name as keyof T], code);
    if (value === undefined || value === null) continue;
    const kind = kinds[name] ?? COMMON[name];
    const isList = readOnce(name, () => Array.isArray(value), code);
    // An object that throws when it is asked what it is.
    readOnce(name, () => Object.prototype.toString.call(value), code);
    if (kind !== undefined && !(kind === "list" ? isList : IS[kind][0](value))) {
      throw wrong(`${name} is ${shown(value)}, expected ${IS[kind][1]}.`);
    }
    options[name] = isList ? readList(value as unknown[], name, code) : value;
  }
  return options as T;
}

/** Python's spelling of a name and JavaScript's have the same. */
function bareLetters(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}

/** The items of a list; holes are undefined. */
export function readList<T>(list: readonly T[], name: string, code: ErrorCode = "INPUT_INVALID"): T[] {
  return readOnce(name, () => Array.from(list), code);
}

/** Whether it can be read as a list: an array, or a typed one. */
export function isList(
  value: unknown,
  name: string,
  code: ErrorCode = "INPUT_INVALID",
): value is ArrayLike<unknown> {
  if (ArrayBuffer.isView(value)) return !(value instanceof DataView);
  return readOnce(name, () => Array.isArray(value), code);
}

/** @throws TypeError when its buffer was given away: its length is 0 then. */
function plainCopy(values: Int32Array): unknown[] {
  values.slice(0, 0);
  const list = new Array(values.length);
  for (let i = 0; i < list.length; i++) list[i] = values[i];
  return list;
}

/** A copy of a list, and of the lists in it; what is no list stays for a check to refuse. */
export function copiedLists(value: unknown, name: string, depth: 1 | 2 = 1): unknown {
  if (!isList(value, name)) return value;
  // Typed arrays, which may be long, have no elements that run code; `Array.from` goes through their iterator.
  const list = readOnce(name, () =>
    ArrayBuffer.isView(value) ? plainCopy(value as Int32Array) : Array.from(value),
  );
  return depth === 1 ? list : list.map((item, index) => copiedLists(item, `${name}[${index}]`));
}

/** A copy of a list of numbers. @throws INPUT_INVALID */
export function readNumbers(value: unknown, name: string): number[] {
  const list = copiedLists(value, name);
  if (!Array.isArray(list)) {
    throw new GlimtError("INPUT_INVALID", `${name} is ${shown(value)}, expected a list of numbers.`);
  }
  const wrong = list.findIndex((item) => typeof item !== "number");
  if (wrong < 0) return list;
  throw new GlimtError("INPUT_INVALID", `${name}[${wrong}] is ${shown(list[wrong])}, expected a number.`);
}

/** These fields of an object, each read once. @throws INPUT_INVALID for what is no object */
export function readFields<T extends object>(
  given: T,
  what: string,
  names: readonly (keyof T & string)[],
): T {
  if (typeof given !== "object" || given === null) {
    throw new GlimtError("INPUT_INVALID", `${what}: expected an object, found ${shown(given)}.`);
  }
  const entries = names.flatMap((name) => {
    const value = readOnce(`${what}: ${name}`, () => given[name]);
    return value === undefined ? [] : [[name, value] as const];
  });
  return Object.fromEntries(entries) as T;
}

/** Deeper nesting than any data has; templates and JSON walk it by recursion. */
const DEEPEST = 200;
/** What is referred to several times counts each time: a few objects can stand for any number. */
const MOST_OBJECTS = 1_000_000;

/**
 * A copy of plain data: texts, numbers, booleans, null, lists, objects and Maps of them. What is undefined in an object
 * is not set. @throws naming the place, e.g. `messages[0].tool_calls[1].function`
 */
export function readPlain(value: unknown, path: string, code: ErrorCode = "INPUT_INVALID"): unknown {
  return new PlainReader(code).read(value, path);
}

class PlainReader {
  readonly #code: ErrorCode;
  /** Objects that the present one lies in. */
  readonly #around = new Set<object>();
  #count = 0;

  constructor(code: ErrorCode) {
    this.#code = code;
  }

  read(value: unknown, path: string): unknown {
    if (typeof value === "function" || typeof value === "symbol") {
      throw this.#wrong(path, `is ${shown(value)}, which is no data`);
    }
    if (typeof value !== "object" || value === null) return value;
    if (this.#around.has(value)) throw this.#wrong(path, "holds itself");
    if (this.#around.size === DEEPEST) throw this.#wrong(path, `lies deeper than ${DEEPEST} objects`);
    if (++this.#count > MOST_OBJECTS) throw this.#wrong(path, `is one of more than ${MOST_OBJECTS} objects`);
    this.#around.add(value);
    const copy = readOnce(path, () => this.#copy(value, path), this.#code);
    this.#around.delete(value);
    return copy;
  }

  #copy(value: object, path: string): unknown {
    const kind = Object.prototype.toString.call(value).slice(8, -1);
    if (kind === "Map") return this.#copyMap(value as Map<unknown, unknown>, path);
    if (kind !== "Object" && kind !== "Array")
      throw this.#wrong(path, `is a ${kind}, which is no plain data`);
    if (Array.isArray(value)) {
      return Array.from(value, (item, index) => {
        if (item === undefined) throw this.#wrong(`${path}[${index}]`, "is undefined: the list has a hole");
        return this.read(item, `${path}[${index}]`);
      });
    }
    const copy: Record<string, unknown> = {};
    for (const key of Object.keys(value)) {
      const item = this.read((value as Record<string, unknown>)[key], `${path}.${key}`);
      // A key may be any text, "__proto__" too.
      if (item !== undefined)
        Object.defineProperty(copy, key, {
          value: item,
          enumerable: true,
          writable: true,
          configurable: true,
        });
    }
    return copy;
  }

  /** Objects whose keys keep their order, numbers among them too. */
  #copyMap(map: ReadonlyMap<unknown, unknown>, path: string): Map<string, unknown> {
    return new Map(
      Array.from(map, ([key, item]) => {
        if (typeof key !== "string") throw this.#wrong(path, `has the key ${shown(key)}, which is no text`);
        return [key, this.read(item, `${path}.${key}`)];
      }),
    );
  }

  #wrong(path: string, what: string): GlimtError {
    return new GlimtError(this.#code, `${path} ${what}.`);
  }
}

/** Timers of JavaScript can not wait longer, in milliseconds. */
export const LONGEST_TIMER = 2 ** 31 - 1;

/** @throws OPTION_INVALID for what is no time that a timer can wait */
export function checkTimeLimit(name: string, value: unknown): void {
  if (value === undefined || (typeof value === "number" && value >= 1 && value <= LONGEST_TIMER)) return;
  throw new GlimtError(
    "OPTION_INVALID",
    `${name} is ${shown(value)}, expected milliseconds from 1 to ${LONGEST_TIMER}.`,
  );
}
