/** A template as tokens, with the white space control of `trim_blocks` and `lstrip_blocks`, as Jinja's own lexer. */
import { isIdentifier } from "./letters.ts";
import { TemplateFailure } from "./runtime.ts";
import { SPACES, strip } from "./strings.ts";

export type TokenType =
  | "data"
  | "block_begin"
  | "block_end"
  | "variable_begin"
  | "variable_end"
  | "name"
  | "string"
  | "integer"
  | "float"
  | "operator"
  | "eof";

export interface Token {
  readonly type: TokenType;
  /** Of an operator its characters, of a string its text without quotes and escapes. */
  readonly value: string;
  readonly line: number;
}

const S = `[${SPACES}]`;
const OPENING = new RegExp(
  `\\{%(?<rawSign>[-+]?)${S}*raw${S}*(?:-%\\}${S}*|%\\})|(?<tag>\\{%|\\{#|\\{\\{)(?<sign>[-+]?)`,
  "gu",
);
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}${S}*|#\\}\\n?`, "gu");
const RAW_END = new RegExp(`\\{%(?<sign>[-+]?)${S}*endraw${S}*(?:\\+%\\}|-%\\}${S}*|%\\}\\n?)`, "gu");
const BLOCK_END = new RegExp(`\\+%\\}|-%\\}${S}*|%\\}\\n?`, "yu");
const VARIABLE_END = new RegExp(`-\\}\\}${S}*|\\}\\}`, "yu");

const WHITE = new RegExp(`${S}+`, "yu");
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/y;
const INTEGER = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const NAME = /[\p{L}\p{N}\p{Mn}\p{Mc}\p{Pc}\u00b7\u0387]+/uy;
const STRING = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y;

const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/** @throws TemplateFailure */
export function tokenize(template: string): Token[] {
  // One line end at the end is dropped, and all are "\n".
  const source = template.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  return new Lexer(source).all();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  /** Whether what was read last ended a line. */
  #startsLine = true;

  constructor(source: string) {
    this.#source = source;
  }

  all(): Token[] {
    while (this.#at < this.#source.length) this.#next();
    this.#push("eof", "");
    return this.#tokens;
  }

  /** Text, and the tag behind it. */
  #next(): void {
    OPENING.lastIndex = this.#at;
    const found = OPENING.exec(this.#source);
    if (found === null) {
      this.#data(this.#source.slice(this.#at));
      this.#at = this.#source.length;
      return;
    }
    const { rawSign, tag, sign } = found.groups as Record<string, string | undefined>;
    this.#dataBefore(found.index, rawSign ?? sign ?? "", tag !== "{{");
    this.#advance(found[0]);
    if (tag === undefined) this.#raw();
    else if (tag === "{#") this.#comment();
    else this.#code(tag === "{{" ? "variable" : "block");
  }

  /** What stands before a tag at `end`, without the blanks that the tag takes away. */
  #dataBefore(end: number, sign: string, isStatement: boolean): void {
    const text = this.#source.slice(this.#at, end);
    let kept = text;
    if (sign === "-") kept = strip(text, null, "right");
    else if (sign !== "+" && isStatement) {
      const lineStart = text.lastIndexOf("\n") + 1;
      const blank = text.slice(lineStart);
      const isAtStart = lineStart > 0 || this.#startsLine;
      if (isAtStart && blank !== "" && strip(blank, null) === "") kept = text.slice(0, lineStart);
    }
    this.#data(kept);
    this.#at = end;
    this.#line += countLines(text);
  }

  #data(text: string): void {
    if (text !== "") this.#push("data", text);
  }

  #comment(): void {
    if (this.#at >= this.#source.length) return;
    COMMENT_END.lastIndex = this.#at;
    const end = COMMENT_END.exec(this.#source);
    if (end === null) throw this.#error("Missing end of comment tag");
    this.#advance(this.#source.slice(this.#at, end.index + end[0].length));
  }

  #raw(): void {
    if (this.#at >= this.#source.length) return;
    RAW_END.lastIndex = this.#at;
    const end = RAW_END.exec(this.#source);
    if (end === null) throw this.#error("Missing end of raw directive");
    this.#dataBefore(end.index, end.groups?.sign ?? "", true);
    this.#advance(end[0]);
  }

  #code(kind: "block" | "variable"): void {
    this.#push(`${kind}_begin`, "");
    const ending = kind === "block" ? BLOCK_END : VARIABLE_END;
    const open: string[] = [];
    for (;;) {
      const end = open.length === 0 ? this.#match(ending) : undefined;
      if (end !== undefined) {
        this.#push(`${kind}_end`, "");
        this.#advance(end);
        return;
      }
      if (this.#at >= this.#source.length) return;
      this.#token(open);
    }
  }

  #token(open: string[]): void {
    const white = this.#match(WHITE);
    if (white !== undefined) {
      this.#advance(white);
      return;
    }
    for (const [type, pattern] of TOKENS) {
      const found = this.#match(pattern);
      if (found === undefined) continue;
      if (type === "operator") this.#balance(found, open);
      if (type === "name" && !isIdentifier(found)) throw this.#error("Invalid character in identifier");
      this.#push(type, type === "string" ? this.#unescaped(found) : found);
      this.#advance(found);
      return;
    }
    throw this.#error(`unexpected char ${JSON.stringify(this.#source[this.#at])}`);
  }

  #balance(operator: string, open: string[]): void {
    const closing = CLOSING[operator];
    if (closing !== undefined) open.push(closing);
    if (!")]}".includes(operator)) return;
    const expected = open.pop();
    if (expected === operator) return;
    const hint = expected === undefined ? "" : `, expected '${expected}'`;
    throw this.#error(`unexpected '${operator}'${hint}`);
  }

  #unescaped(quoted: string): string {
    try {
      return unescaped(quoted.slice(1, -1));
    } catch (error) {
      throw this.#error((error as Error).message);
    }
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#source)?.[0];
  }

  #advance(text: string): void {
    this.#at += text.length;
    this.#line += countLines(text);
    this.#startsLine = text.endsWith("\n");
  }

  #push(type: TokenType, value: string): void {
    this.#tokens.push({ type, value, line: this.#line });
  }

  #error(problem: string): TemplateFailure {
    return new TemplateFailure(problem, this.#line);
  }
}

const TOKENS: readonly (readonly [TokenType, RegExp])[] = [
  ["float", FLOAT],
  ["integer", INTEGER],
  ["name", NAME],
  ["string", STRING],
  ["operator", OPERATOR],
];

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}

const SHORT: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
const LENGTHS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** The escapes of Python's strings; an unknown one stays as it is. */
export function unescaped(text: string): string {
  return text.replace(
    /\\(?:([0-7]{1,3})|([xuU])([0-9a-fA-F]*)|(N)|([\s\S]))/gu,
    (whole, octal, kind, hex, named, letter) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      if (named !== undefined) throw new Error("characters by name (\\N{...}) are not read here");
      if (kind === undefined) return SHORT[letter as string] ?? whole;
      const length = LENGTHS[kind as string] as number;
      const digits = (hex as string).slice(0, length);
      const code = Number.parseInt(digits, 16);
      if (digits.length < length || code > 0x10ffff) throw new Error(`truncated \\${kind} escape`);
      return String.fromCodePoint(code) + (hex as string).slice(length);
    },
  );
}
