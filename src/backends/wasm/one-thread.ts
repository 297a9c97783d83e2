/**
 * The kernels' module for one thread. As it is built it imports memory that threads share, which a page that is not
 * cross-origin isolated has none of; its instructions are as good on memory of its own.
 */

const IMPORTS = 2;
const MEMORY = 2;
/** In the flags of a memory's limits. */
const SHARED = 2;

/** @param module whose first import is its memory. @returns a copy that takes memory which is not shared */
export function forOneThread(module: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bytes = module.slice();
  // Behind the magic number and the version.
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const skip = (length: number) => {
    at += length;
  };
  while (at < bytes.length) {
    const section = bytes[at++];
    const length = number();
    if (section !== IMPORTS) {
      skip(length);
      continue;
    }
    number();
    // The names of a module and of its export.
    skip(number());
    skip(number());
    if (bytes[at++] !== MEMORY) break;
    bytes[at] = (bytes[at] as number) & ~SHARED;
    return bytes;
  }
  throw new Error("the module of the kernels does not import its memory first");
}
