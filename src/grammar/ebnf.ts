/**
 * Grammars as text: rules `name ::= …` of "texts", [sets], names, groups, | and counts (* + ? {2,5}), with # comments. The
 * notation of llama.cpp and XGrammar.
 */
import { GlimtError } from "../errors.ts";
import { ANY, type CodePoints, codePoints, complement, union } from "./code-points.ts";
import { chars, choice, EMPTY, type Grammar, named, type Rule, repeat, sequence, text } from "./rule.ts";

const ROOT = "root";
const MOST_COUNT = 100_000;
const MOST_DEPTH = 200;
const NAME = /[A-Za-z_][\w.-]*/y;
const RULE = /([A-Za-z_][\w.-]*)\s*::=/y;
const BLANK = /(?:\s|#[^\n]*)+/y;
const NUMBER = /\d+/y;

/** @throws OPTION_INVALID naming the line and column of what is wrong */
export function readEbnf(source: string): Grammar {
  return new EbnfReader(source).read();
}

class EbnfReader {
  readonly #source: string;
  readonly #rules = new Map<string, Rule>();
  /** Where each name is used first. */
  readonly #used = new Map<string, number>();
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  read(): Grammar {
    this.#blank();
    while (this.#at < this.#source.length) this.#rule();
    for (const [name, at] of this.#used) {
      if (!this.#rules.has(name)) throw this.#wrong(`there is no rule "${name}"`, at);
    }
    if (!this.#rules.has(ROOT)) {
      throw new GlimtError(
        "OPTION_INVALID",
        `structured.grammar has no rule "${ROOT}", which an answer is of.`,
      );
    }
    return { root: ROOT, rules: this.#rules };
  }

  #wrong(what: string, at = this.#at): GlimtError {
    const lines = this.#source.slice(0, at).split("\n");
    const column = [...(lines.at(-1) as string)].length + 1;
    return new GlimtError(
      "OPTION_INVALID",
      `structured.grammar: line ${lines.length}, column ${column}: ${what}.`,
    );
  }

  #match(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#source);
    if (found) this.#at += found[0].length;
    return found;
  }

  #blank(): void {
    this.#match(BLANK);
  }

  #take(expected: string): boolean {
    if (!this.#source.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  #rule(): void {
    const start = this.#at;
    const name = this.#match(RULE)?.[1];
    if (name === undefined) throw this.#wrong('expected a rule like name ::= "text"');
    if (this.#rules.has(name)) throw this.#wrong(`there are two rules "${name}"`, start);
    this.#blank();
    this.#rules.set(name, this.#alternatives());
  }

  #alternatives(): Rule {
    if (++this.#depth > MOST_DEPTH)
      throw this.#wrong(`there are more than ${MOST_DEPTH} groups in one another`);
    const items = [this.#sequence()];
    while (this.#take("|")) {
      this.#blank();
      items.push(this.#sequence());
    }
    this.#depth--;
    return items.length === 1 ? (items[0] as Rule) : choice(...items);
  }

  #sequence(): Rule {
    const items: Rule[] = [];
    for (let item = this.#item(); item; item = this.#item()) {
      items.push(this.#counted(item));
      this.#blank();
    }
    return items.length === 0 ? EMPTY : sequence(...items);
  }

  #item(): Rule | null {
    const start = this.#at;
    if (this.#take('"')) return text(this.#text(start));
    if (this.#take("[")) return chars(this.#set(start));
    if (this.#take("(")) return this.#group(start);
    if (this.#take(".")) return chars(ANY);
    const isNextRule = this.#match(RULE) !== null;
    this.#at = start;
    if (isNextRule) return null;
    const name = this.#match(NAME)?.[0];
    if (name !== undefined) {
      if (!this.#used.has(name)) this.#used.set(name, start);
      return named(name);
    }
    if (
      this.#at === this.#source.length ||
      this.#source[start] === "|" ||
      (this.#source[start] === ")" && this.#depth > 1)
    ) {
      return null;
    }
    throw this.#wrong(
      `${JSON.stringify(String.fromCodePoint(this.#source.codePointAt(start) as number))} begins nothing that a rule may hold`,
    );
  }

  #group(start: number): Rule {
    if (this.#take("=") || this.#take("!")) throw this.#wrong("lookahead is not supported", start);
    this.#blank();
    const rule = this.#alternatives();
    if (!this.#take(")")) throw this.#wrong("this group is not closed", start);
    return rule;
  }

  #counted(item: Rule): Rule {
    const start = this.#at;
    if (this.#take("*")) return repeat(item, 0, Number.POSITIVE_INFINITY);
    if (this.#take("+")) return repeat(item, 1, Number.POSITIVE_INFINITY);
    if (this.#take("?")) return repeat(item, 0, 1);
    if (!this.#take("{")) return item;
    this.#blank();
    const low = this.#match(NUMBER)?.[0];
    this.#blank();
    const isRange = this.#take(",");
    this.#blank();
    const high = isRange ? this.#match(NUMBER)?.[0] : low;
    this.#blank();
    if (!this.#take("}") || (low === undefined && high === undefined)) {
      throw this.#wrong("expected a count like {3}, {3,}, {,5} or {3,5}", start);
    }
    const least = Number(low ?? 0);
    const most = high === undefined ? Number.POSITIVE_INFINITY : Number(high);
    if (most < least) throw this.#wrong(`{${least},${most}} counts down`, start);
    if (least > MOST_COUNT || (high !== undefined && most > MOST_COUNT)) {
      throw this.#wrong(`a count is larger than ${MOST_COUNT}`, start);
    }
    return repeat(item, least, most);
  }

  #text(start: number): string {
    let read = "";
    while (!this.#take('"')) {
      const character = this.#character("this text is not closed", start);
      read += String.fromCodePoint(character);
    }
    return read;
  }

  #set(start: number): CodePoints {
    const isNegated = this.#take("^");
    const sets: CodePoints[] = [];
    while (!this.#take("]")) {
      const from = this.#at;
      const low = this.#character("this set is not closed", start);
      const isRange = this.#source[this.#at] === "-" && this.#source[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      const high = isRange ? this.#character("this set is not closed", start) : low;
      if (high < low) throw this.#wrong("a range counts down", from);
      sets.push(codePoints([low, high]));
    }
    const set = union(...sets);
    return isNegated ? complement(set) : set;
  }

  /** The next one of a text or a set. */
  #character(unclosed: string, opened: number): number {
    const start = this.#at;
    const code = this.#source.codePointAt(start);
    if (code === undefined || code === 10) throw this.#wrong(unclosed, opened);
    this.#at += code > 0xffff ? 2 : 1;
    if (code !== 0x5c) return this.#whole(code, start);
    const escaped = this.#source[this.#at++] ?? "";
    const digits = { x: 2, u: 4, U: 8 }[escaped];
    if (digits !== undefined) {
      const hexadecimal = this.#source.slice(this.#at, this.#at + digits);
      this.#at += digits;
      const found = new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(hexadecimal)
        ? Number.parseInt(hexadecimal, 16)
        : Number.NaN;
      if (!(found <= 0x10ffff))
        throw this.#wrong(`\\${escaped} needs ${digits} hexadecimal digits of a character`, start);
      return this.#whole(found, start);
    }
    const control = { n: 10, r: 13, t: 9, "0": 0 }[escaped];
    if (control !== undefined) return control;
    if (/^[\\"'[\]^\-/. ]$/.test(escaped)) return escaped.charCodeAt(0);
    throw this.#wrong(`\\${escaped} is not known`, start);
  }

  #whole(code: number, start: number): number {
    if (code >= 0xd800 && code <= 0xdfff)
      throw this.#wrong("half of a pair of surrogates is no character", start);
    return code;
  }
}
