/**
 * The grammar of JSON as Python's json module reads it: the standard's, and NaN, Infinity and -Infinity. What becomes
 * of numbers and objects is said by a `JsonShape`.
 */

/** A text that is no JSON; the message says what was expected where. */
export class JsonError extends Error {
  constructor(text: string, at: number, problem: string) {
    super(`${problem} at ${placeOf(text, at)}`);
    this.name = "JsonError";
  }
}

export interface JsonShape {
  /** Decimal digits, perhaps with a minus sign. */
  integer(digits: string): unknown;
  float(value: number): unknown;
  /** Of equal keys the last one's value counts, at the place of the first. */
  object(entries: readonly (readonly [key: string, value: unknown])[]): unknown;
}

/** Deeper than Python's own limit, and far from what overflows a stack. */
export const MAX_DEPTH = 1000;
/** Python's limit too: to convert longer ones takes time that grows with the square of their length. */
const MAX_INTEGER_DIGITS = 4300;

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const WORDS: readonly (readonly [word: string, value: null | boolean | number])[] = [
  ["null", null],
  ["true", true],
  ["false", false],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
];
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** @throws JsonError */
export function readJsonText(text: string, shape: JsonShape): unknown {
  return new JsonReader(text, shape).document();
}

class JsonReader {
  readonly #text: string;
  readonly #shape: JsonShape;
  #at = 0;
  #depth = 0;

  constructor(text: string, shape: JsonShape) {
    this.#text = text;
    this.#shape = shape;
  }

  document(): unknown {
    if (this.#text.startsWith("\ufeff")) throw this.#error("A byte order mark, which JSON does not allow,");
    this.#skipSpace();
    const value = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) throw this.#error("More text behind the value");
    return value;
  }

  #value(): unknown {
    switch (this.#text[this.#at]) {
      case '"':
        return this.#string();
      case "{":
        return this.#nested(() => this.#object());
      case "[":
        return this.#nested(() => this.#array());
    }
    for (const [word, value] of WORDS) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return typeof value === "number" ? this.#shape.float(value) : value;
    }
    return this.#number();
  }

  #nested(read: () => unknown): unknown {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw this.#error(`More than ${MAX_DEPTH} levels of lists and objects`);
    this.#at += 1;
    this.#skipSpace();
    const value = read();
    this.#depth -= 1;
    return value;
  }

  #array(): unknown[] {
    const items: unknown[] = [];
    if (this.#took("]")) return items;
    for (;;) {
      items.push(this.#value());
      this.#skipSpace();
      if (this.#took("]")) return items;
      if (!this.#took(",")) throw this.#error("Expected a comma or the end of the list");
      this.#skipSpace();
    }
  }

  #object(): unknown {
    const entries: [string, unknown][] = [];
    if (this.#took("}")) return this.#shape.object(entries);
    for (;;) {
      if (this.#text[this.#at] !== '"') throw this.#error("Expected a key in double quotes");
      const key = this.#string();
      this.#skipSpace();
      if (!this.#took(":")) throw this.#error("Expected a colon behind the key");
      this.#skipSpace();
      entries.push([key, this.#value()]);
      this.#skipSpace();
      if (this.#took("}")) return this.#shape.object(entries);
      if (!this.#took(",")) throw this.#error("Expected a comma or the end of the object");
      this.#skipSpace();
    }
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at;
    this.#at += 1;
    let value = "";
    for (let from = this.#at; ; this.#at += 1) {
      if (this.#at >= text.length) throw new JsonError(text, start, "A string without an end");
      const code = text.charCodeAt(this.#at);
      if (code === QUOTE) {
        value += text.slice(from, this.#at);
        this.#at += 1;
        return value;
      }
      if (code < SPACE) throw this.#error("A control character in a string (write it as an escape)");
      if (code !== BACKSLASH) continue;
      value += text.slice(from, this.#at) + this.#escape();
      from = this.#at + 1;
    }
  }

  /** Leaves the position at the escape's last character. */
  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? "";
    if (letter === "u") {
      const digits = this.#text.slice(this.#at + 2, this.#at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.#error("Expected four hexadecimal digits behind \\u");
      this.#at += 5;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const plain = ESCAPES[letter];
    if (plain === undefined) throw this.#error("An escape that JSON does not have");
    this.#at += 1;
    return plain;
  }

  #number(): unknown {
    NUMBER.lastIndex = this.#at;
    const found = NUMBER.exec(this.#text);
    if (found === null) throw this.#error("Expected a value");
    const [digits, fraction, exponent] = found;
    const isInteger = fraction === undefined && exponent === undefined;
    if (isInteger && digits.length > MAX_INTEGER_DIGITS) {
      throw this.#error(`A whole number of more than ${MAX_INTEGER_DIGITS} digits`);
    }
    this.#at += digits.length;
    return isInteger ? this.#shape.integer(digits) : this.#shape.float(Number(digits));
  }

  #took(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== SPACE && code !== LINE_FEED && code !== CARRIAGE_RETURN && code !== TAB) return;
      this.#at += 1;
    }
  }

  #error(problem: string): JsonError {
    return new JsonError(this.#text, this.#at, problem);
  }
}

const [QUOTE, BACKSLASH, SPACE, LINE_FEED, CARRIAGE_RETURN, TAB] = [0x22, 0x5c, 0x20, 0x0a, 0x0d, 0x09];

/** "line 3, column 7", both from 1. */
function placeOf(text: string, at: number): string {
  const before = text.slice(0, at);
  const lineStart = before.lastIndexOf("\n") + 1;
  const line = before.split("\n").length;
  return `line ${line}, column ${[...before.slice(lineStart)].length + 1}`;
}
