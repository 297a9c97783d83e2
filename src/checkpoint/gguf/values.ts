/** The keys of a GGUF file, read strictly: complaints name the file and the key. */
import { JsonSection } from "../../config/json-section.ts";
import type { GgufFile, GgufValue } from "./container.ts";

/** Of which every number of so many differs from its neighbours. */
const FLOAT32_DIGITS = 6;

export class GgufValues {
  readonly #section: JsonSection;
  readonly #values: ReadonlyMap<string, GgufValue>;

  constructor({ name, values }: GgufFile) {
    // Lists are left out: a vocabulary is no part of a message.
    const plain = [...values].filter(([, value]) => typeof value !== "object");
    this.#section = JsonSection.root(Object.fromEntries(plain), name);
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

  /** Undefined where there is no list. */
  numbers(key: string): number[] | undefined {
    const list = this.#values.get(key);
    return typeof list === "object" ? Array.from(list as ArrayLike<number>, Number) : undefined;
  }

  /** Undefined where there is no list of texts. */
  texts(key: string): readonly string[] | undefined {
    const list = this.#values.get(key);
    const isTexts = Array.isArray(list) && list.every((value) => typeof value === "string");
    return isTexts ? (list as string[]) : undefined;
  }
}
