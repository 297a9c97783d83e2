/** LZW as TIFF has it: codes from the highest bit on, and their length grows one code early. */

import { Unreadable } from "../codecs/unreadable.ts";

const CLEAR = 256;
const END = 257;
const FIRST = 258;
const TABLE_SIZE = 4096;

/**
 * @param size bytes that are wanted; the data need not go on behind them.
 * @throws RangeError when the data ends before, Unreadable for codes that mean nothing
 */
export function decodeLzw(data: Uint8Array, size: number): Uint8Array {
  if (data[0] === 0 && ((data[1] ?? 0) & 1) !== 0)
    throw new Unreadable("LZW data of an old kind is not read");
  const out = new Uint8Array(size);
  // A string is a place in what is written already: that of its code's first use.
  const starts = new Uint32Array(TABLE_SIZE);
  const lengths = new Uint32Array(TABLE_SIZE);
  let next = FIRST;
  let bits = 9;
  let isFresh = true;
  let lastStart = 0;
  let lastLength = 0;
  let done = 0;
  let at = 0;
  let buffer = 0;
  let buffered = 0;
  while (done < size) {
    while (buffered < bits) {
      if (at >= data.length) throw new RangeError("compressed data is cut off");
      buffer = ((buffer << 8) | (data[at++] as number)) & 0xffffff;
      buffered += 8;
    }
    buffered -= bits;
    const code = (buffer >>> buffered) & ((1 << bits) - 1);
    if (code === CLEAR) {
      next = FIRST;
      bits = 9;
      isFresh = true;
      continue;
    }
    if (code === END) throw new RangeError("compressed data is cut off");
    if (isFresh ? code >= CLEAR : code > next || (code === next && next >= TABLE_SIZE)) {
      throw new Unreadable("compressed data is corrupt");
    }
    // The last string and the first byte of this one are the next string, and lie together.
    if (!isFresh && next < TABLE_SIZE) {
      starts[next] = lastStart;
      lengths[next] = lastLength + 1;
      next++;
      if (next + 1 >= 1 << bits && bits < 12) bits++;
    }
    const start = done;
    if (code < CLEAR) {
      out[done++] = code;
    } else {
      const from = starts[code] as number;
      const length = lengths[code] as number;
      for (let i = 0; i < length && done < size; i++) out[done++] = out[from + i] as number;
    }
    isFresh = false;
    lastStart = start;
    lastLength = code < CLEAR ? 1 : (lengths[code] as number);
  }
  return out;
}
