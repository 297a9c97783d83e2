/** Runs of bytes: a count, then one byte that is repeated, or so many that are not. */

/**
 * @param size bytes that are wanted; the data need not go on behind them.
 * @throws RangeError when the data ends before
 */
export function decodePackBits(data: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size);
  let done = 0;
  let at = 0;
  while (done < size) {
    const count = data[at++];
    if (count === undefined) throw new RangeError("compressed data is cut off");
    if (count === 128) continue;
    const length = Math.min(count < 128 ? count + 1 : 257 - count, size - done);
    const needed = count < 128 ? length : 1;
    if (at + needed > data.length) throw new RangeError("compressed data is cut off");
    if (count < 128) out.set(data.subarray(at, at + length), done);
    else out.fill(data[at] as number, done, done + length);
    at += needed;
    done += length;
  }
  return out;
}
