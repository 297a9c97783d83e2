/** Regular expressions, in ECMAScript's syntax and with its meaning under the flag `u`, to rules. */
import { GlimtError } from "../errors.ts";
import { type CodePoints, charactersOf, codePoints, complement, union } from "./code-points.ts";
import { CLASS_ESCAPES, NOT_LINE_ENDS, unicodeProperty } from "./pattern-classes.ts";
import { choice, EMPTY, type Rule, repeat, sequence } from "./rule.ts";

/** How a character of a set is written in the text. */
export type Spelling = (set: CodePoints) => Rule;

export interface PatternOptions {
  /** What the expression is called in errors. */
  readonly name: string;
  readonly spell: Spelling;
  /** Whether it is to be the whole text, or (JSON Schema's meaning) may stand anywhere in it where it has no ^ or $. */
  readonly whole: boolean;
}

/** Counts that are larger are refused; `{n,}` has no bound. */
const MOST_COUNT = 100_000;
const MOST_DEPTH = 200;

/** @throws OPTION_INVALID naming the place of what is wrong, or can not be done */
export function readPattern(source: string, options: PatternOptions): Rule {
  return new PatternReader(source, options).read();
}

class PatternReader {
  readonly #characters: readonly string[];
  readonly #options: PatternOptions;
  #at = 0;
  #depth = 0;

  constructor(source: string, options: PatternOptions) {
    this.#characters = [...source];
    this.#options = options;
  }

  read(): Rule {
    const rule = this.#alternatives();
    if (this.#at < this.#characters.length) throw this.#wrong('there is a ")" too many');
    return rule;
  }

  #wrong(what: string, at = this.#at): GlimtError {
    const { name } = this.#options;
    return new GlimtError("OPTION_INVALID", `${name}: at character ${at + 1}, ${what}.`);
  }

  get #next(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(expected: string): boolean {
    const found = this.#characters.slice(this.#at, this.#at + expected.length).join("");
    if (found !== expected) return false;
    this.#at += expected.length;
    return true;
  }

  #alternatives(): Rule {
    if (++this.#depth > MOST_DEPTH)
      throw this.#wrong(`there are more than ${MOST_DEPTH} groups in one another`);
    const isOutermost = this.#depth === 1;
    const items = [this.#branch(isOutermost)];
    while (this.#take("|")) items.push(this.#branch(isOutermost));
    this.#depth--;
    return items.length === 1 ? (items[0] as Rule) : choice(...items);
  }

  /** ^ and $ can be understood at the ends of the whole expression's alternatives. */
  #branch(isOutermost: boolean): Rule {
    const isSearch = isOutermost && !this.#options.whole;
    const anything = repeat(this.#options.spell(codePoints([0, 0x10ffff])), 0, Number.POSITIVE_INFINITY);
    let isFixed = false;
    if (isOutermost) while (this.#take("^")) isFixed = true;
    const items: Rule[] = isSearch && !isFixed ? [anything] : [];
    let isEnded = false;
    while (this.#next !== undefined && this.#next !== "|" && this.#next !== ")") {
      const start = this.#at;
      if (this.#take("$")) {
        if (!isOutermost) throw this.#wrong("$ can only stand at the end of the whole expression", start);
        isEnded = true;
        continue;
      }
      if (isEnded) throw this.#wrong("something follows $, which no text satisfies");
      items.push(this.#quantified(this.#atom()));
    }
    if (isSearch && !isEnded) items.push(anything);
    return items.length === 0 ? EMPTY : sequence(...items);
  }

  #quantified(item: Rule): Rule {
    const counts = this.#counts();
    if (!counts) return item;
    // Lazy or not, the texts are the same.
    this.#take("?");
    if (this.#next !== undefined && "*+?".includes(this.#next))
      throw this.#wrong("there is nothing to repeat");
    return repeat(item, ...counts);
  }

  #counts(): [number, number] | null {
    if (this.#take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#take("?")) return [0, 1];
    const start = this.#at;
    if (!this.#take("{")) return null;
    const least = this.#number();
    const isRange = this.#take(",");
    const most = isRange ? (this.#number() ?? Number.POSITIVE_INFINITY) : least;
    if (least === null || most === null || !this.#take("}")) {
      throw this.#wrong("{ begins no count like {3}, {3,} or {3,5}; write \\{ for the character", start);
    }
    if (most < least) throw this.#wrong(`{${least},${most}} counts down`, start);
    if (Math.max(least, most === Number.POSITIVE_INFINITY ? 0 : most) > MOST_COUNT) {
      throw this.#wrong(`a count is larger than ${MOST_COUNT}`, start);
    }
    return [least, most];
  }

  #number(): number | null {
    let digits = "";
    while (this.#next !== undefined && /^[0-9]$/.test(this.#next)) digits += this.#characters[this.#at++];
    return digits === "" ? null : Number(digits);
  }

  #atom(): Rule {
    const start = this.#at;
    const character = this.#characters[this.#at++] as string;
    const { spell } = this.#options;
    switch (character) {
      case "(":
        return this.#group(start);
      case "[":
        return spell(this.#set(start));
      case ".":
        return spell(NOT_LINE_ENDS);
      case "\\":
        return spell(this.#escape(start, false));
      case "^":
        throw this.#wrong("^ can only stand at the beginning of the whole expression", start);
      case "*":
      case "+":
      case "?":
      case "{":
        throw this.#wrong("there is nothing to repeat", start);
      case "]":
      case "}":
        throw this.#wrong(`"${character}" closes nothing; write \\${character} for the character`, start);
      default:
        return spell(charactersOf(character));
    }
  }

  #group(start: number): Rule {
    if (this.#take("?")) {
      if (this.#take("<=") || this.#take("<!")) throw this.#wrong("lookbehind is not supported", start);
      if (this.#take("=") || this.#take("!")) throw this.#wrong("lookahead is not supported", start);
      if (this.#take("<")) this.#groupName(start);
      else if (!this.#take(":")) throw this.#wrong("flags of a group are not supported", start);
    }
    const rule = this.#alternatives();
    if (!this.#take(")")) throw this.#wrong("this group is not closed", start);
    return rule;
  }

  #groupName(start: number): void {
    while (this.#next !== undefined && this.#next !== ">") this.#at++;
    if (!this.#take(">")) throw this.#wrong("the name of this group is not closed", start);
  }

  #set(start: number): CodePoints {
    const isNegated = this.#take("^");
    const sets: CodePoints[] = [];
    while (!this.#take("]")) {
      if (this.#next === undefined) throw this.#wrong("this set is not closed", start);
      const from = this.#at;
      const first = this.#setItem();
      const isRange = this.#next === "-" && this.#characters[this.#at + 1] !== "]";
      if (!isRange) {
        sets.push(first);
        continue;
      }
      this.#at++;
      if (this.#next === undefined) throw this.#wrong("this set is not closed", start);
      const last = this.#setItem();
      const [low, high] = [single(first), single(last)];
      if (low === null || high === null) throw this.#wrong("a range needs a character at each end", from);
      if (high < low) throw this.#wrong("a range counts down", from);
      sets.push(codePoints([low, high]));
    }
    const set = union(...sets);
    return isNegated ? complement(set) : set;
  }

  #setItem(): CodePoints {
    const start = this.#at;
    const character = this.#characters[this.#at++] as string;
    return character === "\\" ? this.#escape(start, true) : charactersOf(character);
  }

  #escape(start: number, inSet: boolean): CodePoints {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw this.#wrong("\\ is followed by nothing", start);
    const named = CLASS_ESCAPES[character];
    if (named) return named;
    if (character === "p" || character === "P") return this.#property(start, character === "P");
    if (character === "b" && inSet) return codePoints([8, 8]);
    if (character === "b" || character === "B") throw this.#wrong(`\\${character} is not supported`, start);
    if (/^[1-9k]$/.test(character)) throw this.#wrong("a reference to a group is not supported", start);
    const code = this.#characterEscape(character, start);
    if (code >= 0xd800 && code <= 0xdfff)
      throw this.#wrong("half of a pair of surrogates is no character", start);
    return codePoints([code, code]);
  }

  #characterEscape(character: string, start: number): number {
    const control = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 }[character];
    if (control !== undefined) return control;
    if (character === "x") return this.#hexadecimal(2, start);
    if (character === "u") return this.#unicode(start);
    if (character === "c" && /^[a-z]$/i.test(this.#next ?? "")) {
      return (this.#characters[this.#at++] as string).charCodeAt(0) % 32;
    }
    // Beside those of the flag `u`, the ones that JSON and others like to write.
    if (/^[\^$\\.*+?()[\]{}|/\-"'#%&,:;<=>@_`~! ]$/.test(character)) return character.charCodeAt(0);
    throw this.#wrong(`\\${character} is not known`, start);
  }

  #unicode(start: number): number {
    if (this.#take("{")) {
      let digits = "";
      while (this.#next !== undefined && this.#next !== "}") digits += this.#characters[this.#at++];
      const code = /^[0-9a-f]{1,6}$/i.test(digits) ? Number.parseInt(digits, 16) : Number.NaN;
      if (!this.#take("}") || !(code <= 0x10ffff)) throw this.#wrong("\\u{…} is no character", start);
      return code;
    }
    const high = this.#hexadecimal(4, start);
    if (high < 0xd800 || high > 0xdbff || !this.#take("\\u")) return high;
    const low = this.#hexadecimal(4, start);
    if (low < 0xdc00 || low > 0xdfff) return high;
    return 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00);
  }

  #hexadecimal(length: number, start: number): number {
    const digits = this.#characters.slice(this.#at, this.#at + length).join("");
    if (!/^[0-9a-f]+$/i.test(digits) || digits.length !== length) {
      throw this.#wrong(`an escape needs ${length} hexadecimal digits`, start);
    }
    this.#at += length;
    return Number.parseInt(digits, 16);
  }

  #property(start: number, isNegated: boolean): CodePoints {
    let name = "";
    if (this.#take("{")) {
      while (this.#next !== undefined && this.#next !== "}") name += this.#characters[this.#at++];
      if (!this.#take("}")) name = "";
    }
    const set = /^[A-Za-z_0-9]+(=[A-Za-z_0-9]+)?$/.test(name) ? unicodeProperty(name) : null;
    if (!set) throw this.#wrong("\\p{…} names no property of Unicode", start);
    return isNegated ? complement(set) : set;
  }
}

function single(set: CodePoints): number | null {
  const [range] = set;
  return set.length === 1 && range && range[0] === range[1] ? range[0] : null;
}
