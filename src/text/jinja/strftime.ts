/** Python's strftime in the C locale, for a time on this machine's clock. */

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];

/** A number, the width that it has by itself, and what fills it. */
type Padded = readonly [value: number, width: number, fill?: string];

const NUMBERS: Readonly<Record<string, (date: Date) => Padded>> = {
  C: (date) => [Math.floor(date.getFullYear() / 100), 2],
  d: (date) => [date.getDate(), 2],
  e: (date) => [date.getDate(), 2, " "],
  f: (date) => [date.getMilliseconds() * 1000, 6],
  G: (date) => [isoWeek(date).year, 4],
  g: (date) => [isoWeek(date).year % 100, 2],
  H: (date) => [date.getHours(), 2],
  I: (date) => [date.getHours() % 12 || 12, 2],
  j: (date) => [dayOfYear(date) + 1, 3],
  k: (date) => [date.getHours(), 2, " "],
  l: (date) => [date.getHours() % 12 || 12, 2, " "],
  M: (date) => [date.getMinutes(), 2],
  m: (date) => [date.getMonth() + 1, 2],
  S: (date) => [date.getSeconds(), 2],
  s: (date) => [Math.floor(date.getTime() / 1000), 1],
  U: (date) => [Math.floor((dayOfYear(date) + 7 - date.getDay()) / 7), 2],
  u: (date) => [date.getDay() || 7, 1],
  V: (date) => [isoWeek(date).week, 2],
  W: (date) => [Math.floor((dayOfYear(date) + 7 - ((date.getDay() + 6) % 7)) / 7), 2],
  w: (date) => [date.getDay(), 1],
  Y: (date) => [date.getFullYear(), 4],
  y: (date) => [date.getFullYear() % 100, 2],
};

const TEXTS: Readonly<Record<string, (date: Date) => string>> = {
  A: (date) => DAYS[date.getDay()] as string,
  a: (date) => (DAYS[date.getDay()] as string).slice(0, 3),
  B: (date) => MONTHS[date.getMonth()] as string,
  b: (date) => (MONTHS[date.getMonth()] as string).slice(0, 3),
  h: (date) => (MONTHS[date.getMonth()] as string).slice(0, 3),
  n: () => "\n",
  P: (date) => (date.getHours() < 12 ? "am" : "pm"),
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  t: () => "\t",
  "%": () => "%",
  // Python's now() knows no zone.
  Z: () => "",
  z: () => "",
};

const COMPOSED: Readonly<Record<string, string>> = {
  c: "%a %b %e %H:%M:%S %Y",
  D: "%m/%d/%y",
  F: "%Y-%m-%d",
  R: "%H:%M",
  r: "%I:%M:%S %p",
  T: "%H:%M:%S",
  X: "%H:%M:%S",
  x: "%m/%d/%y",
};

const FILLS: Readonly<Record<string, string>> = { "-": "", _: " ", "0": "0" };

/** With the flags of glibc: `%-d` without zeros, `%_d` with blanks, `%^a` in capitals. */
export function strftime(date: Date, format: string): string {
  return format.replace(
    /%([-_0^#]*)(\d*)[EO]?(.)/gsu,
    (whole, flags: string, width: string, letter: string) => {
      const text = directive(date, letter, flags, Number(width));
      if (text === undefined) return whole;
      return flags.includes("^") ? text.toUpperCase() : text;
    },
  );
}

function directive(date: Date, letter: string, flags: string, width: number): string | undefined {
  const number = NUMBERS[letter]?.(date);
  const flag = flags.match(/[-_0]/g)?.at(-1);
  if (number !== undefined) {
    const [value, own, fill = "0"] = number;
    const filling = flag === undefined ? fill : (FILLS[flag] as string);
    return filling === "" ? String(value) : String(value).padStart(Math.max(own, width), filling);
  }
  const composed = COMPOSED[letter];
  const text = composed === undefined ? TEXTS[letter]?.(date) : strftime(date, composed);
  return text?.padStart(width, flag === "0" ? "0" : " ");
}

/** From 0. */
function dayOfYear(date: Date): number {
  const day = (month: number, of: number) => Date.UTC(date.getFullYear(), month, of) / 86_400_000;
  return day(date.getMonth(), date.getDate()) - day(0, 1);
}

/** Weeks begin on Monday, and the first has the year's first Thursday. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 4 - (date.getDay() || 7));
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}
