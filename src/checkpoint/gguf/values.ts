/** The keys of a GGUF file, read strictly: complaints name the file and the key. */
import { JsonSection } from "../../config/json-section.ts";
import type { GgufFile, GgufList, GgufValue } from "./container.ts";

/** Of which every number of so many differs from its neighbours. */
const FLOAT32_DIGITS = 6;

export class GgufValues {
  readonly #section: JsonSection;
  readonly #values: ReadonlyMap<string, GgufValue>;

  constructor({ name, values }: GgufFile) {
    // A vocabulary is no part of a message: of lists it has the first items.
    const shown = [...values].map(([key, value]) => [key, typeof value === "object" ? start(value) : value]);
    this.#section = JsonSection.root(Object.fromEntries(shown), name);
    this.#values = values;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** A positive whole number. @throws CONFIG_INVALID */
  size(key: string): number {
    return this.#section.positiveInteger(key);
  }

  /** A whole number from 0; `absent` where there is none. @throws CONFIG_INVALID */
  count(key: string, absent: number): number {
    return this.has(key) ? this.#section.naturalNumber(key) : absent;
  }

  /** A positive number; of a float32 the shortest that rounds to it, as config.json has it. @throws CONFIG_INVALID */
  number(key: string): number {
    const value = this.#section.positiveNumber(key);
    const short = Number(value.toPrecision(FLOAT32_DIGITS));
    return Math.fround(short) === value ? short : value;
  }

  /** Undefined where there is none. @throws CONFIG_INVALID */
  text(key: string): string | undefined {
    return this.has(key) ? this.#section.string(key) : undefined;
  }

  flag(key: string): boolean {
    return this.has(key) && this.#section.boolean(key);
  }

  /** Undefined where there is no such key. @throws CONFIG_INVALID for what is no list of numbers */
  numbers(key: string): number[] | undefined {
    const list = this.#values.get(key);
    if (list === undefined) return undefined;
    const numbers = typeof list === "object" ? Array.from(list as ArrayLike<unknown>) : [];
    const areNumbers = typeof list === "object" && numbers.every(Number.isFinite);
    if (!areNumbers) throw this.#section.invalid(key, "a list of numbers");
    return numbers as number[];
  }

  /** Undefined where there is no list of texts. */
  texts(key: string): readonly string[] | undefined {
    const list = this.#values.get(key);
    const isTexts = Array.isArray(list) && list.every((value) => typeof value === "string");
    return isTexts ? (list as string[]) : undefined;
  }
}

const MOST_SHOWN = 8;

function start(list: GgufList): unknown[] {
  return Array.from({ length: Math.min(list.length, MOST_SHOWN) }, (_, at) => {
    const item = list[at];
    return typeof item === "object" ? start(item) : item;
  });
}
