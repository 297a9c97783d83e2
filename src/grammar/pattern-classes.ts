/** Sets of characters that regular expressions have names for, as ECMAScript has them. */
import { type CodePoints, codePoints, complement } from "./code-points.ts";

const DIGIT = codePoints([0x30, 0x39]);
const WORD = codePoints([0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]);
const SPACE = codePoints(
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
);
const LINE_ENDS = codePoints([0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]);

export const NOT_LINE_ENDS = complement(LINE_ENDS);

export const CLASS_ESCAPES: Readonly<Record<string, CodePoints>> = {
  d: DIGIT,
  D: complement(DIGIT),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
};

const known = new Map<string, CodePoints>();

/** \p{name}: asks the host, which knows Unicode. Null for a name that it does not know. */
export function unicodeProperty(name: string): CodePoints | null {
  const found = known.get(name);
  if (found) return found;
  let expression: RegExp;
  try {
    expression = new RegExp(`^\\p{${name}}$`, "u");
  } catch {
    return null;
  }
  const ranges: [number, number][] = [];
  for (let code = 0; code <= 0x10ffff; code++) {
    if (!expression.test(String.fromCodePoint(code))) continue;
    const last = ranges.at(-1);
    if (last?.[1] === code - 1) last[1] = code;
    else ranges.push([code, code]);
  }
  const set = codePoints(...ranges);
  known.set(name, set);
  return set;
}
