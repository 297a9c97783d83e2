/** The lines of a file of any size, one at a time. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { turnWhenDue } from "../event-loop.ts";

export interface Line {
  /** From 1, blank lines counted. */
  readonly number: number;
  /** Without its end; null for a line that is longer than `longest`. */
  readonly bytes: Uint8Array | null;
  /** Of the file: where the line begins, and where the next one does. */
  readonly start: number;
  readonly end: number;
  /** Whether a line feed ends it: the last line of a file may have none. */
  readonly isEnded: boolean;
}

/** Most bytes of a line: a request with pictures in it, not a video library. */
export const LONGEST_LINE = 128 * 2 ** 20;
const CHUNK = 2 ** 20;
const LINE_FEED = 10;

/** Lines that hold more than white space. A byte order mark at the beginning is none of the first one's. */
export async function* readLines(
  file: FileHandle,
  signal?: AbortSignal,
  longest = LONGEST_LINE,
): AsyncGenerator<Line, void, void> {
  const chunk = new Uint8Array(CHUNK);
  const begun = new Begun(longest);
  let position = 0;
  let start = 0;
  let number = 1;
  const take = (end: number, isEnded: boolean): Line | null => {
    const bytes = begun.end();
    const line = { number, bytes: start === 0 ? withoutMark(bytes) : bytes, start, end, isEnded };
    return isBlank(line.bytes) ? null : line;
  };
  for (;;) {
    await turnWhenDue(signal);
    const { bytesRead } = await file.read(chunk, 0, CHUNK, position);
    if (bytesRead === 0) break;
    const read = chunk.subarray(0, bytesRead);
    let from = 0;
    for (let at = read.indexOf(LINE_FEED); at >= 0; at = read.indexOf(LINE_FEED, from)) {
      begun.add(read.subarray(from, at));
      from = at + 1;
      const line = take(position + from, true);
      start = position + from;
      number++;
      if (line) yield line;
    }
    begun.add(read.subarray(from));
    position += bytesRead;
  }
  if (start === position) return;
  const line = take(position, false);
  if (line) yield line;
}

/** The line under way. */
class Begun {
  readonly #longest: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  constructor(longest: number) {
    this.#longest = longest;
  }

  add(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#length > this.#longest) this.#parts = [];
    else if (part.length > 0) this.#parts.push(part.slice());
  }

  end(): Uint8Array | null {
    const bytes = this.#length > this.#longest ? null : Buffer.concat(this.#parts, this.#length);
    this.#parts = [];
    this.#length = 0;
    return bytes;
  }
}

function withoutMark(bytes: Uint8Array | null): Uint8Array | null {
  return bytes?.[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}

function isBlank(bytes: Uint8Array | null): boolean {
  return bytes?.every((byte) => byte === 32 || (byte >= 9 && byte <= 13)) ?? false;
}

/** 48 bits that tell a line, and what is asked of it beside, from others. */
export function lineKey(asked: string, bytes: Uint8Array | null): number {
  const hash = createHash("sha256").update(asked).update("\0");
  return hash
    .update(bytes ?? "too long")
    .digest()
    .readUIntBE(0, 6);
}
