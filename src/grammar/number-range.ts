/** Numbers between bounds as rules over their digits. */
import { codePoints } from "./code-points.ts";
import { chars, choice, NEVER, optional, type Rule, repeat, sequence, text } from "./rule.ts";

export interface Bound {
  readonly value: number;
  /** The bound itself is not in the range. */
  readonly isOpen: boolean;
}

export interface NumberRange {
  readonly low: Bound | null;
  readonly high: Bound | null;
}

/** Digits behind the point at most. */
const MOST_DIGITS = 15;
/** Digits in front of it where there is no bound. */
const MOST_WHOLE = 30;

const digit = (low: number, high: number): Rule =>
  low > high ? NEVER : chars(codePoints([0x30 + low, 0x30 + high]));
const anyDigits = (least: number, most: number) => repeat(digit(0, 9), least, most);

/** Whether the bound can be written in digits without an exponent. */
export function isPlain(value: number): boolean {
  return Number.isFinite(value) && /^-?\d{1,16}(\.\d{1,15})?$/.test(String(value));
}

/** Whole numbers of the range: of infinitely many, those of at most 30 digits. */
export function integerRule({ low, high }: NumberRange): Rule {
  const least = low && (low.isOpen ? Math.floor(low.value) + 1 : Math.ceil(low.value));
  const most = high && (high.isOpen ? Math.ceil(high.value) - 1 : Math.floor(high.value));
  const negative =
    least !== null && least >= 0
      ? NEVER
      : sequence(
          text("-"),
          wholeRule(most === null || most >= 0 ? 1 : -most, least === null ? null : -least),
        );
  const positive = most !== null && most < 0 ? NEVER : wholeRule(Math.max(0, least ?? 0), most);
  return choice(negative, positive);
}

/** Whole numbers from least (0 or more) to most without a sign. */
function wholeRule(least: number, most: number | null): Rule {
  const low = String(least);
  const high = most === null ? null : String(most);
  if (most !== null && most < least) return NEVER;
  const lengths = high === null ? MOST_WHOLE : high.length;
  const items: Rule[] = [];
  for (let length = low.length; length <= lengths; length++) {
    const from = length === low.length ? low : `1${"0".repeat(length - 1)}`;
    const to = length === high?.length ? high : "9".repeat(length);
    items.push(digitsBetween(from, to));
  }
  return choice(...items);
}

/** Strings of digits between two of one length. */
function digitsBetween(low: string, high: string): Rule {
  if (/^0*$/.test(low) && /^9*$/.test(high)) return anyDigits(low.length, low.length);
  const [a, b] = [Number(low[0]), Number(high[0])];
  const rest = low.length - 1;
  if (a === b) return sequence(digit(a, a), digitsBetween(low.slice(1), high.slice(1)));
  return choice(
    sequence(digit(a, a), digitsBetween(low.slice(1), "9".repeat(rest))),
    sequence(digit(a + 1, b - 1), anyDigits(rest, rest)),
    sequence(digit(b, b), digitsBetween("0".repeat(rest), high.slice(1))),
  );
}

/** Numbers of the range, written without an exponent. */
export function numberRule({ low, high }: NumberRange): Rule {
  const minus = (bound: Bound | null): Bound | null => bound && { ...bound, value: -bound.value };
  const zero: Bound = { value: 0, isOpen: false };
  const isNegative = (bound: Bound) => bound.value < 0;
  const negative =
    low && !isNegative(low)
      ? NEVER
      : sequence(
          text("-"),
          // Of what is below zero; "-0" is 0, and is written so.
          decimalRule(
            high && isNegative(high) ? (minus(high) as Bound) : { value: 0, isOpen: true },
            minus(low),
          ),
        );
  const positive =
    high && (isNegative(high) || (high.value === 0 && high.isOpen))
      ? NEVER
      : decimalRule(low && !isNegative(low) ? low : zero, high);
  return choice(negative, positive);
}

/** From low, which is not negative. */
function decimalRule(low: Bound, high: Bound | null): Rule {
  const [lowWhole, lowRest] = parts(low.value);
  const above = fraction(aboveRule(lowRest, low.isOpen), lowRest === "" && !low.isOpen);
  if (!high) {
    return choice(
      sequence(text(lowWhole), above),
      sequence(wholeRule(Number(lowWhole) + 1, null), ANY_FRACTION),
    );
  }
  const [highWhole, highRest] = parts(high.value);
  const order = Number(highWhole) - Number(lowWhole);
  if (order < 0) return NEVER;
  if (order === 0) {
    const isFirst = lowRest === "" && !low.isOpen;
    return sequence(
      text(lowWhole),
      fraction(
        insideRule(lowRest, low.isOpen, highRest, high.isOpen),
        isFirst && (highRest !== "" || !high.isOpen),
      ),
    );
  }
  const below = fraction(belowRule(highRest, high.isOpen), highRest !== "" || !high.isOpen);
  return choice(
    sequence(text(lowWhole), above),
    order < 2 ? NEVER : sequence(wholeRule(Number(lowWhole) + 1, Number(highWhole) - 1), ANY_FRACTION),
    sequence(text(highWhole), below),
  );
}

const ANY_FRACTION = optional(sequence(text("."), anyDigits(1, MOST_DIGITS)));

/** @param digits of at least one digit @param mayLack whether the number may end in front of the point */
function fraction(digits: Rule, mayLack: boolean): Rule {
  const written = sequence(text("."), digits);
  return mayLack ? optional(written) : written;
}

function parts(value: number): [whole: string, rest: string] {
  const [whole = "0", rest = ""] = String(value).split(".");
  return [whole, rest];
}

/** Digits behind a point of which the number is at least (or, open, above) 0.rest; one digit or more. */
function aboveRule(rest: string, isOpen: boolean, left = MOST_DIGITS): Rule {
  if (rest === "") {
    if (!isOpen) return anyDigits(1, left);
    return sequence(repeat(text("0"), 0, left - 1), digit(1, 9), anyDigits(0, left - 1));
  }
  const first = Number(rest[0]);
  const deeper = aboveRule(rest.slice(1), isOpen, left - 1);
  const same = rest.length === 1 && !isOpen ? optional(deeper) : deeper;
  return choice(sequence(digit(first + 1, 9), anyDigits(0, left - 1)), sequence(digit(first, first), same));
}

/** Digits behind a point of which the number is at most (or, open, below) 0.rest; one digit or more. */
function belowRule(rest: string, isOpen: boolean, left = MOST_DIGITS): Rule {
  if (rest === "") return isOpen ? NEVER : repeat(text("0"), 1, left);
  const first = Number(rest[0]);
  const deeper = belowRule(rest.slice(1), isOpen, left - 1);
  // What ends here is smaller where digits are left, which are not all zeros, and equal where none is.
  const same = rest.length > 1 || !isOpen ? optional(deeper) : deeper;
  return choice(sequence(digit(0, first - 1), anyDigits(0, left - 1)), sequence(digit(first, first), same));
}

/** Digits between both, where the whole numbers in front are the same. */
function insideRule(
  low: string,
  isLowOpen: boolean,
  high: string,
  isHighOpen: boolean,
  left = MOST_DIGITS,
): Rule {
  if (high === "") return low === "" && !isLowOpen ? belowRule("", isHighOpen, left) : NEVER;
  const first = Number(low[0] ?? "0");
  const last = Number(high[0]);
  if (first > last) return NEVER;
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  const isLow = low.length <= 1 && !isLowOpen;
  if (first === last) {
    const deeper = insideRule(lowRest, isLowOpen, highRest, isHighOpen, left - 1);
    const mayEnd = isLow && (high.length > 1 || !isHighOpen);
    return sequence(digit(first, first), mayEnd ? optional(deeper) : deeper);
  }
  const above = aboveRule(lowRest, isLowOpen, left - 1);
  const below = belowRule(highRest, isHighOpen, left - 1);
  return choice(
    sequence(digit(first, first), isLow ? optional(above) : above),
    sequence(digit(first + 1, last - 1), anyDigits(0, left - 1)),
    sequence(digit(last, last), high.length > 1 || !isHighOpen ? optional(below) : below),
  );
}
