/** Python's format(value, spec). */
import { exponential, fixed } from "./decimals.ts";
import type { Num } from "./numbers.ts";
import { toFloat } from "./numbers.ts";
import { typeName, type Value } from "./py-object.ts";
import { floatText, integerText, str } from "./repr.ts";
import { type Runtime, TemplateFailure } from "./runtime.ts";
import { between, lengthOf } from "./strings.ts";
import { numberOf, textOf } from "./values.ts";

const SPEC =
  /^(?:(?<fill>.)?(?<align>[<>=^]))?(?<sign>[-+ ])?(?<noNegativeZero>z)?(?<alternate>#)?(?<zero>0)?(?<width>\d+)?(?<grouping>[_,])?(?:\.(?<precision>\d+))?(?<type>[a-zA-Z%])?$/su;

export interface Spec {
  readonly fill: string;
  readonly align: string | undefined;
  readonly sign: string;
  readonly isAlternate: boolean;
  readonly noNegativeZero: boolean;
  readonly width: number;
  readonly grouping: string;
  readonly precision: number | undefined;
  readonly type: string;
}

/** More digits than any float has. */
const MAX_PRECISION = 5000;

export function formatValue(rt: Runtime, value: Value, spec: string): string {
  if (spec === "") return str(value, rt);
  const parsed = parseSpec(spec, value);
  rt.chargeText(parsed.width);
  const text = textOf(value);
  if (text !== undefined) return formatString(text, parsed);
  const number = numberOf(value);
  if (number === undefined) {
    throw new TemplateFailure(`unsupported format string passed to ${typeName(value)}.__format__`);
  }
  return formatNumber(number, parsed);
}

function parseSpec(spec: string, value: Value): Spec {
  const found = SPEC.exec(spec)?.groups;
  if (found === undefined) {
    throw new TemplateFailure(`Invalid format specifier '${spec}' for object of type '${typeName(value)}'`);
  }
  const isZero = found.zero !== undefined;
  const precision = found.precision === undefined ? undefined : Number(found.precision);
  if (precision !== undefined && precision > MAX_PRECISION) {
    throw new TemplateFailure(`a precision of ${precision} digits`);
  }
  return {
    fill: found.fill ?? (isZero ? "0" : " "),
    align: found.align ?? (isZero && textOf(value) === undefined ? "=" : undefined),
    sign: found.sign ?? "-",
    isAlternate: found.alternate !== undefined,
    noNegativeZero: found.noNegativeZero !== undefined,
    width: Number(found.width ?? 0),
    grouping: found.grouping ?? "",
    precision,
    type: found.type ?? "",
  };
}

function formatString(text: string, spec: Spec): string {
  if (spec.type !== "" && spec.type !== "s") throw unknownCode(spec.type, "str");
  if (spec.align === "=" || spec.sign !== "-" || spec.grouping !== "" || spec.isAlternate) {
    throw new TemplateFailure("a format specifier of numbers for a str");
  }
  const shown = spec.precision === undefined ? text : between(text, 0, spec.precision);
  return pad(shown, spec.align ?? "<", spec);
}

function unknownCode(code: string, type: string): TemplateFailure {
  return new TemplateFailure(`Unknown format code '${code}' for object of type '${type}'`);
}

function pad(text: string, align: string, { fill, width }: Spec): string {
  const missing = Math.max(0, width - lengthOf(text));
  const before = align === "<" ? 0 : align === "^" ? Math.floor(missing / 2) : missing;
  return fill.repeat(before) + text + fill.repeat(missing - before);
}

const INTEGER_BASES: Readonly<Record<string, number>> = { b: 2, o: 8, d: 10, x: 16, X: 16, n: 10, "": 10 };
const FLOAT_CODES = "eEfFgG%";

function formatNumber(value: Num, spec: Spec): string {
  const { type } = spec;
  if (typeof value === "bigint") {
    if (type === "c") return formatString(String.fromCodePoint(Number(value)), { ...spec, type: "" });
    const base = INTEGER_BASES[type];
    if (base !== undefined) return formatInteger(value, base, spec);
    if (!FLOAT_CODES.includes(type)) throw unknownCode(type, "int");
  } else if (type !== "" && type !== "n" && !FLOAT_CODES.includes(type)) throw unknownCode(type, "float");
  const float = toFloat(value);
  const { digits, suffix } = floatDigits(Math.abs(float), spec);
  const isNegative = float < 0 || Object.is(float, -0);
  const isZero = spec.noNegativeZero && !/[1-9]/.test(digits);
  const isUpper = type === "E" || type === "F" || type === "G";
  const shown = isUpper ? digits.toUpperCase() : digits;
  return layOut(isNegative && !isZero && !Number.isNaN(float), "", shown, suffix, 3, spec);
}

function formatInteger(value: bigint, base: number, spec: Spec): string {
  if (spec.precision !== undefined) {
    throw new TemplateFailure("Precision not allowed in integer format specifier");
  }
  const size = value < 0n ? -value : value;
  const digits = base === 10 ? integerText(size) : size.toString(base);
  const prefix = spec.isAlternate && base !== 10 ? `0${spec.type}` : "";
  const shown = spec.type === "X" ? digits.toUpperCase() : digits;
  return layOut(value < 0n, prefix, shown, "", base === 10 ? 3 : 4, spec);
}

/** Sign, prefix, grouped digits and what follows them, padded. */
function layOut(
  isNegative: boolean,
  prefix: string,
  digits: string,
  suffix: string,
  group: number,
  spec: Spec,
): string {
  const head = (isNegative ? "-" : spec.sign === "-" ? "" : spec.sign) + prefix;
  const [, whole = "", rest = ""] = /^(\d*)(.*)$/s.exec(group === 4 ? "" : digits) ?? [];
  const [main, tail] = group === 4 ? [digits, suffix] : [whole, rest + suffix];
  const align = spec.align ?? ">";
  const room = spec.width - head.length - tail.length;
  const grouped = grouping(main, group, spec.grouping, align === "=" && spec.fill === "0" ? room : 0);
  const body = grouped + tail;
  if (align !== "=") return pad(head + body, align, spec);
  return head + spec.fill.repeat(Math.max(0, spec.width - head.length - lengthOf(body))) + body;
}

/** Digits in groups, zeros in front so far as they fill `room`. */
function grouping(digits: string, size: number, separator: string, room: number): string {
  if (separator === "" || digits === "") return digits;
  let padded = digits;
  const length = () => padded.length + Math.floor((padded.length - 1) / size);
  while (length() < room) padded = `0${padded}`;
  const first = padded.length % size || size;
  let grouped = padded.slice(0, first);
  for (let at = first; at < padded.length; at += size) grouped += separator + padded.slice(at, at + size);
  return grouped;
}

/** The digits of a float that is not negative. */
export function floatDigits(
  value: number,
  { type, precision, isAlternate }: Pick<Spec, "type" | "precision" | "isAlternate">,
): { digits: string; suffix: string } {
  const suffix = type === "%" ? "%" : "";
  const scaled = type === "%" ? value * 100 : value;
  if (!Number.isFinite(scaled)) return { digits: Number.isNaN(scaled) ? "nan" : "inf", suffix };
  const code = type.toLowerCase();
  const point = (places: number) => (isAlternate && places === 0 ? "." : "");
  if (code === "f" || code === "%") {
    const places = precision ?? 6;
    return { digits: fixed(scaled, places) + point(places), suffix };
  }
  if (code === "e") {
    const places = precision ?? 6;
    const { digits, exponent } = exponential(scaled, places);
    return { digits: withExponent(digits, exponent, point(places)), suffix };
  }
  if (code === "" && precision === undefined) return { digits: floatText(scaled), suffix };
  return { digits: general(scaled, precision ?? 6, code === "", isAlternate), suffix };
}

function withExponent(digits: string, exponent: number, point: string): string {
  const places = digits.slice(1);
  const sign = exponent < 0 ? "-" : "+";
  const shown = String(Math.abs(exponent)).padStart(2, "0");
  return `${digits[0]}${places === "" ? point : `.${places}`}e${sign}${shown}`;
}

/** "g", or with `keepsPoint` the format without a letter. */
function general(value: number, precision: number, keepsPoint: boolean, isAlternate: boolean): string {
  const significant = Math.max(precision, 1);
  const { digits, exponent } = exponential(value, significant - 1);
  const kept = isAlternate ? digits : digits.replace(/(?!^)0+$/, "");
  if (exponent < -4 || exponent >= significant - (keepsPoint ? 1 : 0)) {
    return withExponent(kept, exponent, isAlternate ? "." : "");
  }
  if (exponent < 0) return `0.${"0".repeat(-exponent - 1)}${kept}`;
  const whole = kept.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  const rest = kept.slice(exponent + 1);
  if (rest === "") return whole + (keepsPoint ? ".0" : isAlternate ? "." : "");
  return `${whole}.${rest}`;
}
