/** Arithmetic and reading of numbers as Python does it. */
import { divideToEven, partsOf, scaled } from "./decimals.ts";
import { TemplateFailure } from "./runtime.ts";
import { strip } from "./strings.ts";

export type Num = bigint | number;

/** Bits of the largest whole number that a power or shift may make. */
const MAX_BITS = 100_000;

export function negate(value: Num): Num {
  return -value;
}

export function plus(a: Num, b: Num): Num {
  return typeof a === "bigint" && typeof b === "bigint" ? a + b : toFloat(a) + toFloat(b);
}

export function minus(a: Num, b: Num): Num {
  return typeof a === "bigint" && typeof b === "bigint" ? a - b : toFloat(a) - toFloat(b);
}

export function times(a: Num, b: Num): Num {
  if (typeof a !== "bigint" || typeof b !== "bigint") return toFloat(a) * toFloat(b);
  checkBits(bitLength(a) + bitLength(b));
  return a * b;
}

/** An int as a float. @throws where it is too large, as Python does */
export function toFloat(value: Num): number {
  const float = Number(value);
  if (typeof value === "bigint" && !Number.isFinite(float)) {
    throw new TemplateFailure("int too large to convert to float");
  }
  return float;
}

export function divide(a: Num, b: Num): number {
  if (Number(b) === 0)
    throw new TemplateFailure(isInts(a, b) ? "division by zero" : "float division by zero");
  if (typeof a === "bigint" && typeof b === "bigint") return divideInts(a, b);
  return toFloat(a) / toFloat(b);
}

/** The quotient of any two whole numbers, rounded once. */
function divideInts(a: bigint, b: bigint): number {
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  const [top, bottom] = [a < 0n ? -a : a, b < 0n ? -b : b];
  if (top <= limit && bottom <= limit) return Number(a) / Number(b);
  // 64 bits and one that says whether there is more: enough to round by.
  const shift = bitLength(top) - bitLength(bottom) - 64;
  const [scaledTop, scaledBottom] =
    shift < 0 ? [top << BigInt(-shift), bottom] : [top, bottom << BigInt(shift)];
  const exact = scaledTop % scaledBottom === 0n;
  const quotient = ((scaledTop / scaledBottom) << 1n) | (exact ? 0n : 1n);
  const float = Number(quotient) * 2 ** (shift - 1);
  if (!Number.isFinite(float)) throw new TemplateFailure("integer division result too large for a float");
  return a < 0n === b < 0n ? float : -float;
}

export function floorDivide(a: Num, b: Num): Num {
  if (Number(b) === 0) {
    throw new TemplateFailure(
      isInts(a, b) ? "integer division or modulo by zero" : "float floor division by zero",
    );
  }
  if (typeof a === "bigint" && typeof b === "bigint") {
    const quotient = a / b;
    return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
  }
  const [x, y] = [toFloat(a), toFloat(b)];
  const quotient = (x - floatModulo(x, y)) / y;
  if (quotient === 0) return Math.sign(x) * Math.sign(y) < 0 ? -0 : 0;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

/** Has the sign of the divisor. */
export function modulo(a: Num, b: Num): Num {
  if (Number(b) === 0) {
    throw new TemplateFailure(isInts(a, b) ? "integer modulo by zero" : "float modulo");
  }
  if (typeof a === "bigint" && typeof b === "bigint") {
    const rest = a % b;
    return rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
  }
  return floatModulo(toFloat(a), toFloat(b));
}

function floatModulo(x: number, y: number): number {
  const rest = x % y;
  if (rest === 0) return y < 0 ? -0 : 0;
  return rest < 0 !== y < 0 ? rest + y : rest;
}

export function power(a: Num, b: Num): Num {
  if (typeof a === "bigint" && typeof b === "bigint") {
    if (b >= 0n) {
      const isUnit = a >= -1n && a <= 1n;
      if (!isUnit) checkBits(b > BigInt(MAX_BITS) ? MAX_BITS + 1 : bitLength(a) * Number(b));
      return isUnit ? unitPower(a, b) : a ** b;
    }
    if (a === 0n) throw new TemplateFailure("0.0 cannot be raised to a negative power");
  }
  const [x, y] = [toFloat(a), toFloat(b)];
  if (x === 0 && y < 0) throw new TemplateFailure("0.0 cannot be raised to a negative power");
  // JavaScript says NaN here.
  if (x === 1 || (x === -1 && !Number.isFinite(y) && !Number.isNaN(y))) return 1;
  if (x < 0 && !Number.isInteger(y) && Number.isFinite(x) && Number.isFinite(y)) {
    throw new TemplateFailure("a complex number, which templates do not have");
  }
  const result =
    Number.isInteger(y) && Math.abs(y) <= 400 && Number.isFinite(x) && x !== 0 ? wholePower(x, y) : x ** y;
  if (!Number.isFinite(result) && Number.isFinite(x) && Number.isFinite(y)) {
    throw new TemplateFailure("(34, 'Numerical result out of range')");
  }
  return result;
}

/** Exact up to its end, where engines differ in the last digit. */
function wholePower(base: number, exponent: number): number {
  const { mantissa, exponent: scale } = partsOf(Math.abs(base));
  const size = mantissa ** BigInt(Math.abs(exponent));
  const shift = BigInt(scale * Math.abs(exponent));
  const [top, bottom] = shift >= 0n ? [size << shift, 1n] : [size, 1n << -shift];
  const result = exponent >= 0 ? divideInts(top, bottom) : divideInts(bottom, top);
  return base < 0 && exponent % 2 !== 0 ? -result : result;
}

function unitPower(base: bigint, exponent: bigint): bigint {
  if (exponent === 0n) return 1n;
  return base === -1n && exponent % 2n === 0n ? 1n : base;
}

function checkBits(bits: number): void {
  if (bits > MAX_BITS) throw new TemplateFailure("a whole number grows too large");
}

export function bitLength(value: bigint): number {
  const size = value < 0n ? -value : value;
  if (size < 2n ** 53n) return size === 0n ? 0 : Math.floor(Math.log2(Number(size))) + 1;
  return size.toString(16).length * 4 - Math.clz32(Number.parseInt(size.toString(16)[0] as string, 16)) + 28;
}

function isInts(a: Num, b: Num): boolean {
  return typeof a === "bigint" && typeof b === "bigint";
}

/** Python's round(). */
export function round(value: Num, places: bigint): Num {
  if (typeof value === "bigint") {
    if (places >= 0n) return value;
    if (-places > BigInt(bitLength(value))) return 0n;
    const unit = 10n ** -places;
    const rounded = divideToEven(value < 0n ? -value : value, unit) * unit;
    return value < 0n ? -rounded : rounded;
  }
  if (!Number.isFinite(value) || places > 330n) return value;
  if (places < -310n) return value * 0;
  const count = Number(places);
  const size = Number(`${scaled(value, count)}e${-count}`);
  return value < 0 || Object.is(value, -0) ? -size : size;
}

/** The float as a whole number, cut towards zero. */
export function truncate(value: number): bigint {
  if (Number.isFinite(value)) return BigInt(Math.trunc(value));
  throw new TemplateFailure(`cannot convert float ${Number.isNaN(value) ? "NaN" : "infinity"} to integer`);
}

/** What int(text, base) reads; undefined where it refuses. */
export function parseInteger(text: string, base: number): bigint | undefined {
  const [, sign, prefix, digits = ""] =
    /^([+-]?)(0[xX]_?|0[oO]_?|0[bB]_?)?(.+)$/su.exec(asciiDigits(strip(text, null))) ?? [];
  if (digits === "" || !/^[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*$/.test(digits)) return undefined;
  const ofPrefix = prefix === undefined ? undefined : PREFIX_BASES[prefix[1]?.toLowerCase() ?? ""];
  // "0b1" in base 16 has no prefix: b is a digit of it.
  if (ofPrefix !== undefined && base !== ofPrefix && base !== 0) {
    return prefix?.endsWith("_") ? undefined : unsigned(`${prefix}${digits}`, base, sign);
  }
  if (base === 0 && ofPrefix === undefined && /^0[0_]*[1-9]/.test(digits)) return undefined;
  return unsigned(digits, ofPrefix ?? (base === 0 ? 10 : base), sign);
}

const PREFIX_BASES: Readonly<Record<string, number>> = { x: 16, o: 8, b: 2 };

function unsigned(text: string, base: number, sign: string | undefined): bigint | undefined {
  const digits = text.replaceAll("_", "").toLowerCase();
  // Python's own limit; more take time that grows with the square.
  if (digits.length > 4300) return undefined;
  let value = 0n;
  for (const digit of digits) {
    const worth = Number.parseInt(digit, 36);
    if (worth >= base) return undefined;
    value = value * BigInt(base) + BigInt(worth);
  }
  return sign === "-" ? -value : value;
}

const FLOAT = /^[+-]?(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+(?:_\d+)*)?$/;
const NAMED_FLOAT = /^([+-]?)(?:(inf(?:inity)?)|nan)$/i;

/** What float(text) reads; undefined where it refuses. */
export function parseFloatText(text: string): number | undefined {
  const stripped = asciiDigits(strip(text, null));
  const named = NAMED_FLOAT.exec(stripped);
  if (named !== null) {
    if (named[2] === undefined) return Number.NaN;
    return named[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  return FLOAT.test(stripped) ? Number(stripped.replaceAll("_", "")) : undefined;
}

/** Decimal digits of other scripts, which Python reads too, as 0 to 9: each script has ten in a row. */
function asciiDigits(text: string): string {
  if (!/[^\0-\x7f]/.test(text)) return text;
  return text.replace(/\p{Nd}/gu, (digit) => {
    const code = digit.codePointAt(0) as number;
    let first = code;
    while (code - first < 9 && /\p{Nd}/u.test(String.fromCodePoint(first - 1))) first -= 1;
    return String(code - first);
  });
}
