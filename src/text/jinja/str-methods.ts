/** The methods of str. Those of Markup escape what they take and give Markup. */

import { Dict } from "./dict.ts";
import { formatText } from "./format.ts";
import { type FunctionTable, functions, integer, text, textOrNone } from "./functions.ts";
import {
  capitalize,
  caseFold,
  isAlnum,
  isAlpha,
  isAscii,
  isDecimal,
  isDigit,
  isIdentifier,
  isLower,
  isNumeric,
  isPrintable,
  isTitle,
  isUpper,
  swapCase,
  title,
} from "./letters.ts";
import { escapeHtml, like } from "./markup.ts";
import { typeName, type Value } from "./py-object.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Markup, Tuple } from "./sequences.ts";
import {
  between,
  isSpace,
  lengthOf,
  replaceText,
  splitBy,
  splitByFromRight,
  splitLines,
  splitSpace,
  splitSpaceFromRight,
  strip,
} from "./strings.ts";
import { each, numberOf, textOf } from "./values.ts";

/** The text of `self`, which these methods always have. */
function own(rt: Runtime, self: Value): string {
  return rt.text(textOf(self) as string);
}

/** A method that makes another text of its own. */
const changed =
  (change: (text: string) => string) =>
  (rt: Runtime, self: Value): Value =>
    like(self, rt.text(change(own(rt, self))));

/** The same where each character is looked at. */
const rewritten =
  (change: (text: string) => string) =>
  (rt: Runtime, self: Value): Value =>
    like(self, rt.text(change(rt.characters(own(rt, self)))));

const asked =
  (ask: (text: string) => boolean) =>
  (rt: Runtime, self: Value): Value =>
    ask(rt.characters(own(rt, self)));

const stripped =
  (sides: "left" | "right" | "both") =>
  (rt: Runtime, self: Value, chars?: Value): Value => {
    const whole = own(rt, self);
    const kept = strip(whole, textOrNone(chars, "strip arg"), sides);
    rt.charge(Math.floor((whole.length - kept.length) / 8));
    return like(self, kept);
  };

/** The text given to a method of `self`: escaped where that is Markup. */
function added(rt: Runtime, self: Value, value: Value, what: string): string {
  text(value, what);
  return self instanceof Markup ? escapeHtml(value, rt) : text(value, what);
}

const separated =
  (
    bySpace: (text: string, max: number) => string[],
    bySeparator: (text: string, separator: string, max: number) => string[],
  ) =>
  (rt: Runtime, self: Value, separator: Value = null, max: Value = -1n): Value => {
    const by = textOrNone(separator, "separator");
    if (by === "") throw new TemplateFailure("empty separator");
    const limit = integer(max);
    const whole = own(rt, self);
    if (by !== null) rt.search(whole, by);
    const parts = by === null ? bySpace(whole, limit) : bySeparator(whole, by, limit);
    rt.charge(2 * parts.length);
    return parts.map((part) => like(self, part));
  };

const parted =
  (isLast: boolean) =>
  (rt: Runtime, self: Value, separator: Value): Value => {
    const [whole, by] = [own(rt, self), text(separator, "separator")];
    if (by === "") throw new TemplateFailure("empty separator");
    rt.search(whole, by);
    const at = isLast ? whole.lastIndexOf(by) : whole.indexOf(by);
    const parts =
      at >= 0
        ? [whole.slice(0, at), by, whole.slice(at + by.length)]
        : isLast
          ? ["", "", whole]
          : [whole, "", ""];
    return new Tuple(parts.map((part) => like(self, part)));
  };

const padded =
  (left: (missing: number, width: number) => number) =>
  (rt: Runtime, self: Value, width: Value, fill: Value = " "): Value => {
    const [whole, total] = [own(rt, self), integer(width)];
    const filling = added(rt, self, fill, "the fill character");
    if (lengthOf(filling) !== 1) {
      throw new TemplateFailure("The fill character must be exactly one character long");
    }
    const missing = Math.max(0, total - lengthOf(whole));
    rt.chargeText(missing);
    const before = left(missing, total);
    return like(self, filling.repeat(before) + whole + filling.repeat(missing - before));
  };

/** Part of the text by two bounds of a slice, and where it begins. */
function part(
  whole: string,
  start: Value | undefined,
  stop: Value | undefined,
): { part: string; from: number } {
  if (start === undefined && stop === undefined) return { part: whole, from: 0 };
  const length = lengthOf(whole);
  const bound = (value: Value | undefined, standard: number) => {
    if (value === undefined || value === null) return standard;
    const at = integer(value);
    return at < 0 ? Math.max(0, at + length) : at;
  };
  const from = bound(start, 0);
  const end = Math.min(length, bound(stop, length));
  return { part: from > end ? "" : between(whole, from, end), from };
}

/** An empty text is at the end too, but nowhere beyond it. */
function isWithin(whole: string, from: number): boolean {
  return from === 0 || from <= lengthOf(whole);
}

const found =
  (isLast: boolean, isRequired: boolean) =>
  (rt: Runtime, self: Value, sought: Value, start?: Value, stop?: Value): Value => {
    const needle = text(sought, "the substring");
    const whole = own(rt, self);
    const { part: within, from } = part(whole, start, stop);
    rt.search(within, needle);
    const at = isLast ? within.lastIndexOf(needle) : within.indexOf(needle);
    if (at >= 0 && isWithin(whole, from)) return BigInt(from + lengthOf(within.slice(0, at)));
    if (isRequired) throw new TemplateFailure("substring not found");
    return -1n;
  };

const edged =
  (name: string, holds: (whole: string, edge: string) => boolean) =>
  (rt: Runtime, self: Value, edges: Value, start?: Value, stop?: Value): Value => {
    const whole = own(rt, self);
    const { part: within, from } = part(whole, start, stop);
    return (edges instanceof Tuple ? edges.items : [edges]).some((edge) => {
      const sought = textOf(edge);
      if (sought === undefined) {
        throw new TemplateFailure(`${name} first arg must be str or a tuple of str, not ${typeName(edge)}`);
      }
      return isWithin(whole, from) && holds(within, sought);
    });
  };

export const STR_METHODS: FunctionTable = functions(
  ["capitalize self/", changed(capitalize)],
  ["casefold self/", rewritten(caseFold)],
  ["lower self/", changed((whole) => whole.toLowerCase())],
  ["upper self/", changed((whole) => whole.toUpperCase())],
  ["swapcase self/", rewritten(swapCase)],
  ["title self/", rewritten(title)],
  ["isalnum self/", asked(isAlnum)],
  ["isalpha self/", asked(isAlpha)],
  ["isascii self/", asked(isAscii)],
  ["isdecimal self/", asked(isDecimal)],
  ["isdigit self/", asked(isDigit)],
  ["isidentifier self/", asked(isIdentifier)],
  ["islower self/", asked(isLower)],
  ["isnumeric self/", asked(isNumeric)],
  ["isprintable self/", asked(isPrintable)],
  ["isspace self/", asked((whole) => whole !== "" && Array.from(whole).every(isSpace))],
  ["istitle self/", asked(isTitle)],
  ["isupper self/", asked(isUpper)],
  ["strip self/ chars?/", stripped("both")],
  ["lstrip self/ chars?/", stripped("left")],
  ["rstrip self/ chars?/", stripped("right")],
  ["split self/ sep? maxsplit?", separated(splitSpace, splitBy)],
  ["rsplit self/ sep? maxsplit?", separated(splitSpaceFromRight, splitByFromRight)],
  [
    "splitlines self/ keepends?",
    (rt, self: Value, keepEnds: Value = false) => {
      const lines = splitLines(own(rt, self), integer(keepEnds) !== 0);
      rt.charge(lines.length);
      return lines.map((line) => like(self, line));
    },
  ],
  ["partition self/ sep/", parted(false)],
  ["rpartition self/ sep/", parted(true)],
  ["startswith self/ prefix/ start?/ end?/", edged("startswith", (whole, edge) => whole.startsWith(edge))],
  ["endswith self/ suffix/ start?/ end?/", edged("endswith", (whole, edge) => whole.endsWith(edge))],
  ["find self/ sub/ start?/ end?/", found(false, false)],
  ["rfind self/ sub/ start?/ end?/", found(true, false)],
  ["index self/ sub/ start?/ end?/", found(false, true)],
  ["rindex self/ sub/ start?/ end?/", found(true, true)],
  [
    "count self/ sub/ start?/ end?/",
    (rt, self: Value, sought: Value, start?: Value, stop?: Value) => {
      const whole = own(rt, self);
      const { part: within, from } = part(whole, start, stop);
      const needle = text(sought, "the substring");
      rt.search(within, needle);
      if (!isWithin(whole, from)) return 0n;
      return BigInt(needle === "" ? lengthOf(within) + 1 : within.split(needle).length - 1);
    },
  ],
  [
    "replace self/ old/ new/ count?/",
    (rt, self: Value, old: Value, replacement: Value, count: Value = -1n) => {
      const by = added(rt, self, replacement, "replace() argument 2");
      const whole = own(rt, self);
      return like(self, replaced(rt, whole, text(old, "replace() argument 1"), by, integer(count)));
    },
  ],
  [
    "removeprefix self/ prefix/",
    (rt, self: Value, prefix: Value) => {
      const [whole, edge] = [own(rt, self), text(prefix, "removeprefix() argument")];
      return like(self, whole.startsWith(edge) ? whole.slice(edge.length) : whole);
    },
  ],
  [
    "removesuffix self/ suffix/",
    (rt, self: Value, suffix: Value) => {
      const [whole, edge] = [own(rt, self), text(suffix, "removesuffix() argument")];
      const has = edge !== "" && whole.endsWith(edge);
      return like(self, has ? whole.slice(0, whole.length - edge.length) : whole);
    },
  ],
  [
    "join self/ items/",
    (rt, self: Value, items: Value) => {
      const parts: string[] = [];
      for (const item of each(items, rt)) {
        if (self instanceof Markup) parts.push(escapeHtml(item, rt));
        else parts.push(text(item, `sequence item ${parts.length}: expected str instance; it`));
      }
      return like(self, joinedBy(rt, textOf(self) as string, parts));
    },
  ],
  // One more on the left where both the missing and the width are odd, as CPython has it.
  ["center self/ width/ fill?/", padded((missing, width) => Math.floor(missing / 2) + (missing & width & 1))],
  ["ljust self/ width/ fill?/", padded(() => 0)],
  ["rjust self/ width/ fill?/", padded((missing) => missing)],
  [
    "zfill self/ width/",
    (rt, self: Value, width: Value) => {
      const whole = own(rt, self);
      const missing = Math.max(0, integer(width) - lengthOf(whole));
      rt.chargeText(missing);
      const sign = /^[+-]/.exec(whole)?.[0] ?? "";
      return like(self, sign + "0".repeat(missing) + whole.slice(sign.length));
    },
  ],
  [
    "expandtabs self/ tabsize?",
    (rt, self: Value, size: Value = 8n) => like(self, expandTabs(rt, own(rt, self), integer(size))),
  ],
  [
    "format self/ *args **kwargs",
    (rt, self: Value, args: Value, keywords: Value) =>
      formatText(rt, self, args as Value[], (name) => (keywords as Dict).get(name)),
  ],
  [
    "format_map self/ mapping/",
    (rt, self: Value, mapping: Value) => {
      if (!(mapping instanceof Dict)) throw new TemplateFailure("format_map() takes a dict");
      return formatText(rt, self, [], (name) => mapping.get(name));
    },
  ],
  ["translate self/ table/", (rt, self: Value, table: Value) => translate(rt, self, table)],
);

/** With a bound on what comes out before it is made. */
export function replaced(rt: Runtime, whole: string, old: string, by: string, count: number): string {
  rt.search(whole, old);
  if (old === "") rt.charge(whole.length);
  const places = old === "" ? whole.length + 1 : by.length <= old.length ? 0 : whole.split(old).length - 1;
  const times = count < 0 ? places : Math.min(places, count);
  rt.chargeText(whole.length + times * by.length);
  return replaceText(whole, old, by, count);
}

export function joinedBy(rt: Runtime, separator: string, parts: readonly string[]): string {
  let length = separator.length * Math.max(0, parts.length - 1);
  for (const item of parts) length += item.length;
  rt.chargeText(length);
  return parts.join(separator);
}

function expandTabs(rt: Runtime, whole: string, size: number): string {
  const tabs = whole.split("\t").length - 1;
  rt.chargeText(whole.length + tabs * Math.max(0, size));
  rt.characters(whole);
  let [result, column] = ["", 0];
  for (const character of whole) {
    if (character === "\t") {
      const width = size > 0 ? size - (column % size) : 0;
      result += " ".repeat(width);
      column += width;
    } else {
      result += character;
      column = character === "\n" || character === "\r" ? 0 : column + 1;
    }
  }
  return result;
}

function translate(rt: Runtime, self: Value, table: Value): Value {
  if (!(table instanceof Dict)) throw new TemplateFailure("translate() takes a dict");
  let result = "";
  const whole = own(rt, self);
  rt.charge(whole.length);
  for (const character of whole) {
    const code = table.get(BigInt(character.codePointAt(0) as number));
    if (code === undefined) result += character;
    else if (code !== null) {
      const number = numberOf(code);
      result +=
        number === undefined ? text(code, "a character's replacement") : String.fromCodePoint(Number(number));
    }
    rt.joined(result.length);
  }
  return like(self, result);
}
