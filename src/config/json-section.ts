/** Reads one JSON object strictly: every complaint names the file, the key path, what was expected and what was found. */
import { type ErrorCode, GlimtError } from "../errors.ts";

export class JsonSection {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #file: string;
  readonly #path: string;
  readonly #code: ErrorCode;

  private constructor(
    values: Readonly<Record<string, unknown>>,
    file: string,
    path: string,
    code: ErrorCode,
  ) {
    this.#values = values;
    this.#file = file;
    this.#path = path;
    this.#code = code;
  }

  /** Wraps the root of a parsed file. Complaints have the given code. @throws when it is no object. */
  static root(json: unknown, file: string, code: ErrorCode = "CONFIG_INVALID"): JsonSection {
    if (!isObject(json)) throw new GlimtError(code, `${file}: expected a JSON object, found ${show(json)}.`);
    return new JsonSection(json, file, "", code);
  }

  /** True when the key is there and not null (Hugging Face writes null for "not set"). */
  has(key: string): boolean {
    return this.#values[key] !== undefined && this.#values[key] !== null;
  }

  isNull(key: string): boolean {
    return this.#values[key] === null;
  }

  get(key: string): unknown {
    return this.#values[key] ?? undefined;
  }

  keys(): string[] {
    return Object.keys(this.#values);
  }

  section(key: string): JsonSection {
    const value = this.#values[key];
    if (!isObject(value)) throw this.invalid(key, "an object");
    return new JsonSection(value, this.#file, this.#join(key), this.#code);
  }

  optionalSection(key: string): JsonSection | null {
    return this.has(key) ? this.section(key) : null;
  }

  positiveInteger(key: string): number {
    const value = this.#values[key];
    if (!Number.isSafeInteger(value) || (value as number) < 1) throw this.invalid(key, "a positive integer");
    return value as number;
  }

  /** How many of a thing are made one by one: `most` is far above any model, and keeps a lying file from filling memory. */
  positiveCount(key: string, most: number): number {
    const value = this.positiveInteger(key);
    if (value > most) throw this.invalid(key, `at most ${most}`);
    return value;
  }

  /** An integer >= 0: a token id, or a count that may be none. */
  naturalNumber(key: string): number {
    const value = this.#values[key];
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw this.invalid(key, "an integer >= 0");
    return value as number;
  }

  positiveNumber(key: string): number {
    const value = this.#values[key];
    if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value)) {
      throw this.invalid(key, "a positive number");
    }
    return value;
  }

  nonNegativeNumber(key: string): number {
    const value = this.#values[key];
    if (typeof value !== "number" || !(value >= 0) || !Number.isFinite(value)) {
      throw this.invalid(key, "a number >= 0");
    }
    return value;
  }

  boolean(key: string): boolean {
    const value = this.#values[key];
    if (typeof value !== "boolean") throw this.invalid(key, "true or false");
    return value;
  }

  string(key: string): string {
    const value = this.#values[key];
    if (typeof value !== "string") throw this.invalid(key, "a string");
    return value;
  }

  /** A non-empty list of integers >= 0; one bare integer counts as a list when `allowScalar`. */
  naturalNumbers(key: string, allowScalar = false): number[] {
    const value = this.#values[key];
    const list = allowScalar && typeof value === "number" ? [value] : value;
    if (!Array.isArray(list) || list.length === 0 || !list.every((n) => Number.isSafeInteger(n) && n >= 0)) {
      throw this.invalid(key, allowScalar ? "an integer >= 0 or a list of them" : "a list of integers >= 0");
    }
    return list;
  }

  numberTriple(key: string): [number, number, number] {
    const value = this.#values[key];
    if (!Array.isArray(value) || value.length !== 3 || !value.every(Number.isFinite)) {
      throw this.invalid(key, "a list of three numbers");
    }
    return [value[0], value[1], value[2]];
  }

  /** The error for a key of this section; `found` is the value there. */
  invalid(key: string, expected: string): GlimtError {
    return new GlimtError(
      this.#code,
      `${this.#file}: ${this.#join(key)}: expected ${expected}, found ${show(this.#values[key])}.`,
    );
  }

  #join(key: string): string {
    return this.#path === "" ? key : `${this.#path}.${key}`;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
