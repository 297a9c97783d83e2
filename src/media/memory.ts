/** Memory that is not to be had, which is no fault of the file. */

import { GlimtError } from "../errors.ts";
import type { MediaNoun } from "./source.ts";

/**
 * What V8, SpiderMonkey, JavaScriptCore and Emscripten say. A typed array's length is only counted where it is beyond
 * reason: a view that does not fit its buffer is told in the same words.
 */
const WORDS =
  /out of memory|allocation failed|could not allocate|unable to grow|maximum memory size|\boom\b|typed array length: \d{10}/i;
/** By name, not by class: it may have come from a worker. */
const NAMES = ["RangeError", "RuntimeError", "InternalError"];

/** Whether an ArrayBuffer or a WebAssembly memory could not be had. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof Error && NAMES.includes(error.name) && WORDS.test(error.message);
}

export function outOfMemory(noun: MediaNoun, name: string, cause: unknown): GlimtError {
  return new GlimtError(
    "OUT_OF_MEMORY",
    `${noun} ${name} takes more memory than there is; give a smaller one, or fewer at a time.`,
    { cause },
  );
}

/** So many bytes, or a copy of some, in a buffer of their own. @throws OUT_OF_MEMORY */
export function newBytes(from: number | Uint8Array, noun: MediaNoun, name: string): Uint8Array<ArrayBuffer> {
  try {
    return typeof from === "number" ? new Uint8Array(from) : new Uint8Array(from);
  } catch (cause) {
    throw outOfMemory(noun, name, cause);
  }
}

const PAGE = 65536;

/**
 * After a codec gave up without a word: asks its memory for what the picture takes.
 *
 * @throws RangeError when that is not to be had
 */
export function expectRoom(memory: WebAssembly.Memory, bytes: number): void {
  memory.grow(Math.ceil(bytes / PAGE));
}
