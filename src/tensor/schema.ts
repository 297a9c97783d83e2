/**
 * Checks of tensor inputs with names: a field is described once, by its dimensions' letters and its values, and an
 * error says which field and which dimension it was, what was expected and what was found.
 */
import { GlimtError } from "../errors.ts";
import { isList, shown } from "../given.ts";

export interface TensorField {
  /** Dimensions by letter or number, e.g. "np cpp" or "n 3". */
  readonly shape: string;
  readonly values: "float" | "integer";
  /** Smallest and largest value of an integer. */
  readonly min?: number;
  readonly max?: number;
}

export type TensorSchema = Readonly<Record<string, TensorField>>;

/** A letter's size, and what fixed it, for the message. */
export interface KnownSize {
  readonly size: number;
  readonly from: string;
}
export type KnownSizes = Readonly<Record<string, KnownSize>>;

type Row = ArrayLike<number>;

/**
 * Checks the fields that are there, in the schema's order. A letter that is not `known` is fixed by the first field
 * that has it. Matrices are flat Float32Arrays, or lists of rows. Float values themselves are not looked at, and other
 * fields are not read.
 *
 * @returns the sizes of all letters met, the known ones included.
 * @throws INPUT_INVALID
 */
export function checkTensors(schema: TensorSchema, inputs: object, known: KnownSizes = {}): KnownSizes {
  const sizes: Record<string, KnownSize> = { ...known };
  for (const [name, field] of Object.entries(schema)) {
    const value = (inputs as Readonly<Record<string, unknown>>)[name];
    if (value === undefined || value === null) continue;
    const check = new FieldCheck(name, field, sizes);
    if (field.values === "float") check.floats(value);
    else check.integers(value);
  }
  return sizes;
}

class FieldCheck {
  readonly #name: string;
  readonly #field: TensorField;
  readonly #letters: readonly string[];
  readonly #sizes: Record<string, KnownSize>;

  constructor(name: string, field: TensorField, sizes: Record<string, KnownSize>) {
    this.#name = name;
    this.#field = field;
    this.#letters = field.shape.split(" ");
    this.#sizes = sizes;
  }

  floats(value: unknown): void {
    if (!(ArrayBuffer.isView(value) && value instanceof Float32Array))
      throw this.#wrong(`expected a Float32Array, found ${describe(value)}`);
    if (isDetached(value.buffer)) throw this.#wrong("its buffer was given away (transferred)");
    const [first, last] = this.#letters as [string, string];
    const [rows, columns] = [this.#sizeOf(first), this.#sizeOf(last)];
    if (columns === undefined) throw new Error(`${this.#name}: the schema needs the size of ${last}.`);
    if (rows === undefined) {
      if (value.length % columns !== 0) {
        throw this.#wrong(
          `${value.length} values are no whole number of rows of ${columns}${this.#origins(last)}`,
        );
      }
      this.#dimension(first, value.length / columns);
    } else if (value.length !== rows * columns) {
      throw this.#wrong(
        `expected ${rows} x ${columns}${this.#origins()}, found ${value.length} values${alternatives(
          [first, rows],
          [last, columns],
          value.length,
        )}`,
      );
    }
  }

  integers(value: unknown): void {
    if (!isList(value, this.#name)) throw this.#wrong(`expected a list, found ${describe(value)}`);
    const [first, inner] = this.#letters as [string, string | undefined];
    this.#dimension(first, value.length);
    if (inner === undefined) {
      this.#row(value as Row, "");
      return;
    }
    Array.from(value as ArrayLike<unknown>).forEach((row, index) => {
      if (!isList(row, this.#name)) {
        throw this.#wrong(`entry ${index} is ${describe(row)}, expected a list`);
      }
      this.#dimension(inner, row.length, `[${index}]`);
      this.#row(row as Row, `[${index}]`);
    });
  }

  #row(row: Row, at: string): void {
    const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = this.#field;
    for (let i = 0; i < row.length; i++) {
      const value = row[i] as number;
      if (Number.isInteger(value) && value >= min && value <= max) continue;
      const range = max === Number.POSITIVE_INFINITY ? `from ${min}` : `of ${min}..${max}`;
      throw new GlimtError(
        "INPUT_INVALID",
        `${this.#name}${at}[${i}] is ${shown(value)}, expected a whole number ${range}.`,
      );
    }
  }

  #sizeOf(letter: string): number | undefined {
    return isNumber(letter) ? Number(letter) : this.#sizes[letter]?.size;
  }

  /** Holds a dimension to its size, or fixes it when it is met first. */
  #dimension(letter: string, found: number, at = ""): void {
    const expected = this.#sizeOf(letter);
    if (expected === undefined) this.#sizes[letter] = { size: found, from: this.#name };
    else if (expected !== found) {
      const what = at
        ? `entry ${at} has ${found}`
        : isNumber(letter)
          ? `it has ${found} entries`
          : `${letter} is ${found}`;
      throw this.#wrong(`${what}, expected ${expected}${this.#origins(letter)}`);
    }
  }

  #origins(...only: string[]): string {
    const letters = only.length > 0 ? only : this.#letters;
    const known = letters.flatMap((letter) =>
      this.#sizes[letter] ? [`${letter} from ${this.#sizes[letter].from}`] : [],
    );
    return known.length === 0 ? "" : ` (${known.join(", ")})`;
  }

  #wrong(what: string): GlimtError {
    return new GlimtError("INPUT_INVALID", `${this.#name} (${this.#letters.join(", ")}): ${what}.`);
  }
}

/** A flat array does not say which dimension is off: name each one that could be. */
function alternatives(
  [first, rows]: readonly [string, number],
  [last, columns]: readonly [string, number],
  length: number,
): string {
  const possible = [
    ...(length % columns === 0 ? [`${first} = ${length / columns}`] : []),
    ...(rows > 0 && length % rows === 0 ? [`${last} = ${length / rows}`] : []),
  ];
  return possible.length === 0 ? "" : `: ${possible.join(" or ")}`;
}

function isNumber(letter: string): boolean {
  return /^\d+$/.test(letter);
}

function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

/** Its kind and length. */
function describe(value: unknown): string {
  if (typeof value !== "object" || value === null) return typeof value;
  try {
    if (Array.isArray(value)) return `a list of ${value.length}`;
    const { length } = value as { length?: unknown };
    return value.constructor.name + (typeof length === "number" ? ` of ${length}` : "");
  } catch {
    return shown(value);
  }
}
