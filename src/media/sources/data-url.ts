/** data: URLs and base64 to bytes, each in one pass: texts of many megabytes are not copied. */
import { checkSize, moreThanLimit, type Reading } from "./reading.ts";

type Limit = Pick<Reading, "what" | "maxBytes">;

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** Values of letters by their codes, and of what else base64 may hold. */
const VALUES = new Int8Array(128).fill(-1);
const [SPACE, PADDING] = [-2, -3];
for (const letter of "\t\n\f\r ") VALUES[letter.charCodeAt(0)] = SPACE;
const PADDING_CODE = "=".charCodeAt(0);
VALUES[PADDING_CODE] = PADDING;
[...LETTERS].forEach((letter, value) => {
  VALUES[letter.charCodeAt(0)] = value;
});
const PERCENT = "%".charCodeAt(0);
/** Letters in which a media type and its parameters end. */
const MOST_HEAD = 1000;

/** @throws Error saying what is wrong with it; SOURCE_TOO_LARGE */
export function decodeDataUrl(text: string, limit: Limit): Uint8Array {
  const comma = text.slice(0, MOST_HEAD).indexOf(",");
  if (comma < 0)
    throw new Error("a data: URL has a comma before its data, as in data:image/png;base64,iVBORw0...");
  const fragment = text.indexOf("#", comma);
  const end = fragment < 0 ? text.length : fragment;
  if (/;\s*base64\s*$/i.test(text.slice(0, comma))) return decodeBase64(text, comma + 1, end, limit);
  return decodePercent(text.slice(comma + 1, end), limit);
}

/** As browsers decode it: white space is skipped, padding may be left out; %3D and the like are letters too. */
export function decodeBase64(text: string, from: number, to: number, limit: Limit): Uint8Array {
  let end = to;
  while (end > from && text.charCodeAt(end - 1) === PADDING_CODE) end -= 1;
  const bytes = new Uint8Array(Math.min(Math.floor(((end - from) * 3) / 4), limit.maxBytes));
  let [length, held, bits, letters, padding] = [0, 0, 0, 0, 0];
  for (let at = from; at < to; at++) {
    // Mostly four letters are three bytes.
    while (bits === 0 && padding === 0 && at + 4 <= to && length + 3 <= bytes.length) {
      const four = fourAt(text, at);
      if (four < 0) break;
      bytes[length] = four >> 16;
      bytes[length + 1] = four >> 8;
      bytes[length + 2] = four;
      length += 3;
      letters += 4;
      at += 4;
    }
    if (at === to) break;
    let code = text.charCodeAt(at);
    if (code === PERCENT) {
      code = hexAt(text, at + 1);
      at += 2;
    }
    const value = code >= 0 && code < 128 ? (VALUES[code] as number) : -1;
    if (value === SPACE) continue;
    if (value === PADDING) padding += 1;
    else if (value < 0 || padding > 0) {
      throw new Error(
        `it is no valid base64: ${JSON.stringify(text.charAt(Math.min(at, to - 1)))} at letter ${at - from}`,
      );
    } else {
      letters += 1;
      held = ((held << 6) | value) & 0xfff;
      bits += 6;
      if (bits < 8) continue;
      bits -= 8;
      if (length === limit.maxBytes) throw moreThanLimit(limit);
      bytes[length++] = held >> bits;
    }
  }
  const isWhole = padding === 0 ? letters % 4 !== 1 : padding <= 2 && (letters + padding) % 4 === 0;
  if (!isWhole) throw new Error("it is no valid base64: it is cut short");
  return length === bytes.length ? bytes : bytes.slice(0, length);
}

/** 24 bits of four letters; negative when one of them is none. */
function fourAt(text: string, at: number): number {
  const [a, b, c, d] = [
    text.charCodeAt(at),
    text.charCodeAt(at + 1),
    text.charCodeAt(at + 2),
    text.charCodeAt(at + 3),
  ];
  if ((a | b | c | d) > 127) return -1;
  const [first, second, third, fourth] = [VALUES[a]!, VALUES[b]!, VALUES[c]!, VALUES[d]!];
  if ((first | second | third | fourth) < 0) return -1;
  return (first << 18) | (second << 12) | (third << 6) | fourth;
}

function decodePercent(text: string, limit: Limit): Uint8Array {
  const bytes = new TextEncoder().encode(text.replace(/[\t\n\r]/g, ""));
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    const code =
      byte === PERCENT ? hexAt(String.fromCharCode(bytes[at + 1] ?? 0, bytes[at + 2] ?? 0), 0) : -1;
    bytes[length++] = code < 0 ? byte : code;
    if (code >= 0) at += 2;
  }
  checkSize(length, limit);
  return bytes.subarray(0, length);
}

/** The number of two hexadecimal digits; -1 for others. */
function hexAt(text: string, at: number): number {
  const digits = text.slice(at, at + 2);
  return /^[\da-f]{2}$/i.test(digits) ? parseInt(digits, 16) : -1;
}
