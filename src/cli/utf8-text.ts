/** Text of files that people write. */
import { GlimtError } from "../errors.ts";

/** @param name what is said to hold them. @throws INPUT_INVALID for what is no UTF-8 */
export function utf8Text(bytes: Uint8Array, name: string): string {
  const encoding = otherEncoding(bytes);
  if (encoding) {
    throw new GlimtError("INPUT_INVALID", `${name} can not be read: it is ${encoding}; save it as UTF-8.`);
  }
  try {
    // A byte order mark, as editors put there, is no part of the text.
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new GlimtError("INPUT_INVALID", `${name} can not be read: it is no UTF-8.`, { cause });
  }
}

/** By its mark, or by the zeros that JSON's first character has beside it. */
function otherEncoding(bytes: Uint8Array): string | null {
  const [a = 1, b = 1, c = 1, d = 1] = bytes;
  if (a === 0 && b === 0) return "UTF-32";
  if (a === 0xff && b === 0xfe) return c === 0 && d === 0 ? "UTF-32" : "UTF-16";
  if (b === 0 && c === 0) return "UTF-32";
  return (a === 0xfe && b === 0xff) || a === 0 || b === 0 ? "UTF-16" : null;
}
