/** Literals of Python's, as ast.literal_eval reads them. */
import { type ExactJson, JsonFloat } from "../json/exact.ts";
import { unescaped } from "./jinja/lexer.ts";
import { floatText } from "./jinja/repr.ts";

/** Python's own limit. */
const MAX_DEPTH = 200;
/** Python reads no longer whole numbers from text. */
const MAX_DIGITS = 4300;

const BLANKS = /(?:[ \t\f]|#[^\n]*)*/y;
const BLANK_LINES = /(?:\s|#[^\n]*)*/y;
const FLOAT =
  /(?:(?:\d+(?:_\d+)*)?\.\d+(?:_\d+)*|\d+(?:_\d+)*\.)(?:[eE][-+]?\d+(?:_\d+)*)?|\d+(?:_\d+)*[eE][-+]?\d+(?:_\d+)*/y;
const INTEGER = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const STRING =
  /([rRuU]?)(?:'''([^\\]*?(?:\\[\s\S][^\\]*?)*?)'''|"""([^\\]*?(?:\\[\s\S][^\\]*?)*?)"""|'([^'\\\n]*(?:\\[\s\S][^'\\\n]*)*)'|"([^"\\\n]*(?:\\[\s\S][^"\\\n]*)*)")/y;
const NAME = /[A-Za-z_]\w*/y;
const NAMES: ReadonlyMap<string, null | boolean> = new Map([
  ["None", null],
  ["True", true],
  ["False", false],
]);

/** No literal that JSON has a form for. */
class NoLiteral extends Error {}

/** The value as JSON has it (tuples are lists, keys texts); undefined where the text is no such literal. */
export function readPythonLiteral(text: string): ExactJson | undefined {
  try {
    return new LiteralReader(text.replace(/^[ \t]+/, "")).whole();
  } catch (error) {
    if (error instanceof NoLiteral) return undefined;
    throw error;
  }
}

class LiteralReader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  whole(): ExactJson {
    const first = this.#value();
    const value = this.#took(",") ? [first, ...this.#items("")] : first;
    this.#match(BLANK_LINES);
    if (this.#at < this.#text.length) throw new NoLiteral();
    return value;
  }

  #value(): ExactJson {
    this.#skipBlanks();
    switch (this.#text[this.#at]) {
      case "(":
        return this.#nested(() => this.#parenthesised());
      case "[":
        return this.#nested(() => this.#items("]"));
      case "{":
        return this.#nested(() => this.#dict());
      case "-":
      case "+":
        return this.#signed();
    }
    return this.#strings() ?? this.#number() ?? this.#named();
  }

  #nested<T>(read: () => T): T {
    this.#at++;
    if (++this.#depth > MAX_DEPTH) throw new NoLiteral();
    const value = read();
    this.#depth--;
    return value;
  }

  /** Up to `close`, which is taken; "" is the end of the text. */
  #items(close: string): ExactJson[] {
    const items: ExactJson[] = [];
    for (;;) {
      if (this.#ends(close)) return items;
      items.push(this.#value());
      if (this.#took(",")) continue;
      if (this.#ends(close)) return items;
      throw new NoLiteral();
    }
  }

  #ends(close: string): boolean {
    if (close !== "") return this.#took(close);
    this.#skipBlanks();
    return this.#at === this.#text.length || this.#text[this.#at] === "\n";
  }

  /** A tuple, or one value in parentheses. */
  #parenthesised(): ExactJson {
    if (this.#took(")")) return [];
    const first = this.#value();
    if (this.#took(")")) return first;
    if (!this.#took(",")) throw new NoLiteral();
    return [first, ...this.#items(")")];
  }

  #dict(): ExactJson {
    const entries = new Map<string, ExactJson>();
    for (;;) {
      if (this.#took("}")) return entries;
      const key = keyText(this.#value());
      if (!this.#took(":")) throw new NoLiteral();
      entries.set(key, this.#value());
      if (this.#took(",")) continue;
      if (this.#took("}")) return entries;
      throw new NoLiteral();
    }
  }

  #signed(): ExactJson {
    const isNegative = this.#text[this.#at++] === "-";
    this.#skipBlanks();
    const value = this.#number();
    if (typeof value === "bigint") return isNegative ? -value : value;
    if (value === undefined) throw new NoLiteral();
    return isNegative ? new JsonFloat(-value.value) : value;
  }

  /** Neighbouring strings are one. */
  #strings(): string | undefined {
    let value: string | undefined;
    for (;;) {
      STRING.lastIndex = this.#at;
      const found = STRING.exec(this.#text);
      if (!found) return value;
      const [whole, prefix = "", ...bodies] = found;
      const body = bodies.find((part) => part !== undefined) as string;
      value = (value ?? "") + (/r/i.test(prefix) ? body : unescapedText(body));
      this.#at += whole.length;
      this.#skipBlanks();
    }
  }

  #number(): bigint | JsonFloat | undefined {
    const float = this.#match(FLOAT);
    if (float !== undefined) return new JsonFloat(Number(float.replaceAll("_", "")));
    const digits = this.#match(INTEGER)?.replaceAll("_", "");
    if (digits === undefined) return undefined;
    if (digits.length > MAX_DIGITS || /\w/.test(this.#text[this.#at] ?? "")) throw new NoLiteral();
    return BigInt(digits);
  }

  #named(): null | boolean {
    const value = NAMES.get(this.#match(NAME) ?? "");
    if (value === undefined) throw new NoLiteral();
    return value;
  }

  #took(character: string): boolean {
    this.#skipBlanks();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** Lines end a literal but for within brackets. */
  #skipBlanks(): void {
    this.#match(this.#depth > 0 ? BLANK_LINES : BLANKS);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }
}

function unescapedText(text: string): string {
  try {
    return unescaped(text);
  } catch {
    throw new NoLiteral();
  }
}

/** As json.dumps writes keys that are no texts. */
function keyText(key: ExactJson): string {
  if (typeof key === "string") return key;
  if (key instanceof JsonFloat) return floatText(key.value);
  if (typeof key === "object" && key !== null) throw new NoLiteral();
  return String(key);
}
