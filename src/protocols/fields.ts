/** Reads the fields of a request strictly: each is of its type or refused by name, and none is passed over. */
import { shown } from "../given.ts";
import { RequestError } from "./errors.ts";

export type Json = Readonly<Record<string, unknown>>;

/** More than anybody needs, and less than holds the thread for seconds: each is looked at, and tokenized, at once. */
const [MOST_STRINGS, MOST_WHOLES] = [10_000, 2 ** 20];

/** The fields of one JSON object. What is null is not set. */
export class Fields {
  readonly #fields: Json;
  readonly #path: string;
  readonly #asked = new Set<string>();

  /** @param path of the object in the request; "" for the request itself. @throws RequestError */
  constructor(value: unknown, path = "") {
    if (!isObject(value)) {
      const what = path === "" ? "The request" : path;
      throw new RequestError("invalid", `${what} is ${shown(value)}, expected a JSON object.`, {
        param: path || undefined,
      });
    }
    this.#fields = value;
    this.#path = path;
  }

  /** The path of a field. */
  at(name: string): string {
    return this.#path === "" ? name : `${this.#path}.${name}`;
  }

  /** As it is; undefined when it is not set. */
  any(name: string): unknown {
    this.#asked.add(name);
    return Object.hasOwn(this.#fields, name) ? (this.#fields[name] ?? undefined) : undefined;
  }

  boolean(name: string): boolean | undefined {
    return this.#typed(name, (value) => typeof value === "boolean", "true or false");
  }

  number(name: string): number | undefined {
    return this.#typed(name, (value) => typeof value === "number", "a number");
  }

  whole(name: string): number | undefined {
    return this.#typed(name, (value) => Number.isSafeInteger(value), "a whole number");
  }

  string(name: string): string | undefined {
    return this.#typed(name, (value) => typeof value === "string", "a string");
  }

  list(name: string): readonly unknown[] | undefined {
    return this.#typed(name, (value) => Array.isArray(value), "a list");
  }

  object(name: string): Json | undefined {
    return this.#typed(name, isObject, "an object");
  }

  strings(name: string): readonly string[] | undefined {
    const isText = (item: unknown) => typeof item === "string";
    return this.#typed(name, isListOf(isText, MOST_STRINGS), `a list of at most ${MOST_STRINGS} strings`);
  }

  wholes(name: string): readonly number[] | undefined {
    const expected = `a list of at most ${MOST_WHOLES} whole numbers`;
    return this.#typed(name, isListOf(Number.isSafeInteger, MOST_WHOLES), expected);
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const expected = values.map((value) => JSON.stringify(value)).join(", ");
    return this.#typed(name, (value) => values.includes(value as T), `one of ${expected}`);
  }

  /** The fields of an object in it. */
  fields(name: string): Fields | undefined {
    const value = this.object(name);
    return value && new Fields(value, this.at(name));
  }

  /** Takes fields that change nothing of an answer. */
  pass(names: readonly string[]): void {
    for (const name of names) this.#asked.add(name);
  }

  /** Refuses a field that asks for what is not there, unless it has a value that asks for nothing. @param advice a sentence */
  refuse(name: string, advice: string, harmless: readonly unknown[] = []): void {
    const value = this.any(name);
    if (value === undefined || harmless.some((other) => JSON.stringify(other) === JSON.stringify(value)))
      return;
    throw new RequestError("invalid", `${this.at(name)} is not supported. ${advice}`, {
      param: this.at(name),
      code: "unsupported_parameter",
    });
  }

  /** Refuses what nobody has asked for: it would be passed over. */
  end(): void {
    for (const [name, value] of Object.entries(this.#fields)) {
      if (this.#asked.has(name) || value === null) continue;
      throw new RequestError("invalid", `${this.at(name)} is no field that is known here.`, {
        param: this.at(name),
        code: "unknown_parameter",
      });
    }
  }

  /** What is missing, as an error. */
  missing(name: string): RequestError {
    return new RequestError("invalid", `${this.at(name)} is missing.`, {
      param: this.at(name),
      code: "missing_required_parameter",
    });
  }

  wrong(name: string, expected: string): RequestError {
    return new RequestError(
      "invalid",
      `${this.at(name)} is ${shown(this.any(name))}, expected ${expected}.`,
      {
        param: this.at(name),
      },
    );
  }

  #typed<T>(name: string, is: (value: unknown) => boolean, expected: string): T | undefined {
    const value = this.any(name);
    if (value === undefined) return undefined;
    if (!is(value)) throw this.wrong(name, expected);
    return value as T;
  }
}

function isListOf(is: (item: unknown) => boolean, most: number): (value: unknown) => boolean {
  return (value) => Array.isArray(value) && value.length <= most && value.every(is);
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
