/** Python's view of text: code points, its white space, its order. */

const SURROGATE = /[\ud800-\udfff]/;
/** What Python's str.isspace takes, and `\s` of its regular expressions. */
export const SPACES = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const OTHER_SPACES =
  "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python ends lines at these too
const LINE_END = /\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/g;

export function isSpace(character: string): boolean {
  const code = character.charCodeAt(0);
  if (code < 0x80) return code === 0x20 || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f);
  return OTHER_SPACES.includes(character);
}

/** Whether places in the text are places of code points. */
export function isPlain(text: string): boolean {
  return !SURROGATE.test(text);
}

export function lengthOf(text: string): number {
  if (isPlain(text)) return text.length;
  let length = 0;
  for (const _ of text) length += 1;
  return length;
}

/** The text between two places that count code points, 0 <= start <= end. */
export function between(text: string, start: number, end: number): string {
  return isPlain(text) ? text.slice(start, end) : Array.from(text).slice(start, end).join("");
}

/** Below 0, 0 or above, by code points. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at++) {
    const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all others. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Strips white space, or any of the characters of `chars`. */
export function strip(text: string, chars: string | null, sides: "left" | "right" | "both" = "both"): string {
  const characters = chars === null ? undefined : new Set(chars);
  const drops = (character: string) =>
    characters === undefined ? isSpace(character) : characters.has(character);
  let [start, end] = [0, text.length];
  while (sides !== "right" && start < end) {
    const character = characterAt(text, start);
    if (!drops(character)) break;
    start += character.length;
  }
  while (sides !== "left" && end > start) {
    const character = characterBefore(text, end);
    if (!drops(character)) break;
    end -= character.length;
  }
  return text.slice(start, end);
}

function characterAt(text: string, at: number): string {
  return String.fromCodePoint(text.codePointAt(at) as number);
}

/** The character that ends at a place. */
export function characterBefore(text: string, end: number): string {
  const pair = text.slice(Math.max(0, end - 2), end);
  return (pair.codePointAt(0) as number) > 0xffff ? pair : text.charAt(end - 1);
}

/** str.split without a separator; at most `max` splits, all where it is negative. */
export function splitSpace(text: string, max: number): string[] {
  const parts: string[] = [];
  let at = skipSpace(text, 0);
  while (at < text.length) {
    if (parts.length === max) return [...parts, text.slice(at)];
    const start = at;
    while (at < text.length && !isSpace(text[at] as string)) at += 1;
    parts.push(text.slice(start, at));
    at = skipSpace(text, at);
  }
  return parts;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && isSpace(text[at] as string)) at += 1;
  return at;
}

/** str.rsplit without a separator. */
export function splitSpaceFromRight(text: string, max: number): string[] {
  const parts: string[] = [];
  let end = strip(text, null, "right").length;
  while (end > 0) {
    if (parts.length === max) return [text.slice(0, end), ...parts.reverse()];
    let start = end;
    while (start > 0 && !isSpace(text[start - 1] as string)) start -= 1;
    parts.push(text.slice(start, end));
    end = strip(text.slice(0, start), null, "right").length;
  }
  return parts.reverse();
}

export function splitBy(text: string, separator: string, max: number): string[] {
  const parts = text.split(separator);
  if (max < 0 || parts.length <= max + 1) return parts;
  return [...parts.slice(0, max), parts.slice(max).join(separator)];
}

export function splitByFromRight(text: string, separator: string, max: number): string[] {
  const parts = text.split(separator);
  if (max < 0 || parts.length <= max + 1) return parts;
  const kept = parts.length - max;
  return [parts.slice(0, kept).join(separator), ...parts.slice(kept)];
}

export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = [];
  let start = 0;
  for (const found of text.matchAll(LINE_END)) {
    const end = found.index + found[0].length;
    lines.push(text.slice(start, keepEnds ? end : found.index));
    start = end;
  }
  if (start < text.length) lines.push(text.slice(start));
  return lines;
}

/** str.replace: `max` times at most, everywhere where it is negative. */
export function replaceText(text: string, old: string, replacement: string, max: number): string {
  if (max < 0 && old !== "") return text.replaceAll(old, () => replacement);
  if (old !== "") return splitBy(text, old, max).join(replacement);
  const characters = Array.from(text);
  const places = characters.length + 1;
  const count = max < 0 ? places : Math.min(max, places);
  let replaced = "";
  for (let at = 0; at < places; at++) replaced += (at < count ? replacement : "") + (characters[at] ?? "");
  return replaced;
}
