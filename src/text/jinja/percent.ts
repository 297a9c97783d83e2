/** `text % values`: printf-style formatting. */

import { Dict } from "./dict.ts";
import { ascii } from "./format.ts";
import { floatDigits } from "./format-spec.ts";
import { escapeHtml, like } from "./markup.ts";
import { type Num, toFloat, truncate } from "./numbers.ts";
import { isList, typeName, Undefined, type Value } from "./py-object.ts";
import { integerText, repr, str } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { Markup, Range, Tuple } from "./sequences.ts";
import { between, lengthOf } from "./strings.ts";
import { numberOf, textOf } from "./values.ts";

const FIELD =
  /%(?:\((?<key>[^()]*)\))?(?<flags>[-#0 +]*)(?<width>\d+|\*)?(?:\.(?<precision>\*|\d*))?[hlL]?(?<type>.)?/gsu;

interface Field {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
  readonly type: string;
}

/** `self` is the pattern, whose text is given too; Markup escapes what it takes. */
export function formatPercent(self: Value, pattern: string, values: Value, rt: Runtime): Value {
  const args = values instanceof Tuple ? values.items : [values];
  let taken = 0;
  const next = (): Value => {
    const value = args[taken];
    if (value === undefined) throw new TemplateFailure("not enough arguments for format string");
    taken += 1;
    return value;
  };
  let [result, at] = ["", 0];
  for (const found of rt.text(pattern).matchAll(FIELD)) {
    const { key, flags = "", width, precision, type } = found.groups as Record<string, string | undefined>;
    if (type === undefined) throw new TemplateFailure("incomplete format");
    result += pattern.slice(at, found.index);
    at = found.index + found[0].length;
    const counted = (text: string | undefined) =>
      text === "*" ? star(next()) : text === undefined ? undefined : Number(text);
    const given = key === undefined ? undefined : keyed(values, key);
    const size = counted(width) ?? 0;
    const field = {
      flags: size < 0 ? `${flags}-` : flags,
      width: Math.abs(size),
      precision: counted(precision),
      type,
    };
    if ((field.precision ?? 0) > 5000) throw new TemplateFailure("a precision of more than 5000 digits");
    rt.chargeText(field.width);
    result +=
      type === "%"
        ? "%"
        : formatField(given === undefined ? next() : given, field, self instanceof Markup, rt);
    rt.joined(result.length);
  }
  if (taken < args.length && !isMapping(values)) {
    throw new TemplateFailure("not all arguments converted during string formatting");
  }
  return like(self, rt.text(result + pattern.slice(at)));
}

/** What has keys or places of its own need not be used up. */
function isMapping(values: Value): boolean {
  return isList(values) || [Dict, Range, Undefined].some((type) => values instanceof type);
}

function star(value: Value): number {
  const number = numberOf(value);
  if (typeof number === "bigint") return Number(number);
  throw new TemplateFailure("* wants int");
}

function keyed(values: Value, key: string): Value {
  if (!(values instanceof Dict)) throw new TemplateFailure("format requires a mapping");
  const value = values.get(key);
  if (value === undefined) throw new TemplateFailure(`no value for the field '${key}'`);
  return value;
}

function formatField(value: Value, field: Field, escapes: boolean, rt: Runtime): string {
  const { type, flags, precision } = field;
  const safe = (text: string) => (escapes ? escapeHtml(text, rt) : text);
  switch (type) {
    case "s":
      return padded("", cut(escapes ? escapeHtml(value, rt) : str(value, rt), precision), field, false);
    case "r":
      return padded("", cut(safe(repr(value, rt)), precision), field, false);
    case "a":
      return padded("", cut(safe(ascii(repr(value, rt))), precision), field, false);
    case "c":
      return padded("", character(value), field, false);
  }
  const number = numberOf(value);
  const isFloat = "eEfFgG".includes(type);
  if (!isFloat && !"diuoxX".includes(type)) {
    throw new TemplateFailure(`unsupported format character '${type}'`);
  }
  if (number === undefined) throw wrongNumber(value, type, isFloat);
  const { isNegative, digits } = isFloat
    ? floatField(toFloat(number), field)
    : integerField(number, field, value);
  const sign = isNegative ? "-" : flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  const prefix = flags.includes("#") && "oxX".includes(type) ? `0${type}` : "";
  return padded(sign + prefix, digits, field, flags.includes("0"));
}

function wrongNumber(value: Value, type: string, isFloat: boolean): TemplateFailure {
  if (value instanceof Undefined) value.fail();
  if (isFloat) return new TemplateFailure(`must be real number, not ${typeName(value)}`);
  const wanted = "oxX".includes(type) ? "an integer" : "a real number";
  return new TemplateFailure(`%${type} format: ${wanted} is required, not ${typeName(value)}`);
}

function floatField(value: number, { type, precision, flags }: Field) {
  const { digits } = floatDigits(Math.abs(value), {
    type,
    precision: precision ?? 6,
    isAlternate: flags.includes("#"),
  });
  const isNegative = (value < 0 || Object.is(value, -0)) && !Number.isNaN(value);
  return { isNegative, digits: type === type.toUpperCase() ? digits.toUpperCase() : digits };
}

function integerField(value: Num, { type, precision = 0 }: Field, given: Value) {
  if (typeof value === "number" && "oxX".includes(type)) throw wrongNumber(given, type, false);
  const whole = typeof value === "number" ? truncate(value) : value;
  const size = whole < 0n ? -whole : whole;
  const base = type === "o" ? 8 : type === "x" || type === "X" ? 16 : 10;
  const digits = (base === 10 ? integerText(size) : size.toString(base)).padStart(precision, "0");
  return { isNegative: whole < 0n, digits: type === "X" ? digits.toUpperCase() : digits };
}

function character(value: Value): string {
  const number = numberOf(value);
  if (typeof number === "bigint") {
    if (number < 0n || number > 0x10ffffn) throw new TemplateFailure("%c arg not in range(0x110000)");
    return String.fromCodePoint(Number(number));
  }
  const text = textOf(value);
  if (text !== undefined && lengthOf(text) === 1) return text;
  throw new TemplateFailure("%c requires int or char");
}

function cut(text: string, precision: number | undefined): string {
  return precision === undefined ? text : between(text, 0, precision);
}

function padded(head: string, body: string, { flags, width }: Field, hasZeros: boolean): string {
  const missing = Math.max(0, width - head.length - lengthOf(body));
  if (flags.includes("-")) return head + body + " ".repeat(missing);
  return hasZeros ? head + "0".repeat(missing) + body : " ".repeat(missing) + head + body;
}
