/** Deflate with a bound: the caller says how many bytes it wants, and work and memory follow from that. */

import { viewOf } from "./bytes.ts";
import { Unreadable } from "./codecs/unreadable.ts";

/** Lengths and distances: least value of a code, and bits that follow it. */
const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
  227, 258,
];
const LENGTH_BITS = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
  6145, 8193, 12289, 16385, 24577,
];
const DISTANCE_BITS = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
];
/** The order in which the lengths of the code lengths' codes come. */
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const LONGEST_CODE = 15;
const END_OF_BLOCK = 256;

/** Bits of the codes that are found at once; their table stays in the processor's cache. */
const SHORT_BITS = 10;

/** For the next bits the symbol times 16, and the length of its code; 0 for none. */
interface PrefixCode {
  /** Codes of up to SHORT_BITS. */
  readonly short: Uint16Array;
  /** The longer ones. */
  readonly long: Uint16Array;
}

/**
 * The first bytes of a zlib stream.
 *
 * @param size at most so many; the stream need not go on behind them.
 * @returns fewer bytes than `size` when the stream ends before.
 * @throws RangeError when the data ends in the stream, Unreadable for data that is no zlib stream
 */
export function inflate(data: Uint8Array, size: number): Uint8Array {
  return new Inflater(data, size).run();
}

/**
 * All bytes of a zlib stream, held against its checksum. A stream that goes on is not checked, nor one that ends
 * behind its last byte without a checksum.
 *
 * @throws RangeError when the stream has fewer bytes, Unreadable when they are not those that were compressed
 */
export function checkedInflate(data: Uint8Array, size: number): Uint8Array {
  const inflater = new Inflater(data, size + 1);
  const out = inflater.run();
  if (out.length < size) throw new RangeError("compressed data is cut off");
  const checksum = inflater.checksum();
  if (out.length === size && checksum !== undefined && checksum !== adler32(out)) {
    throw new Unreadable("compressed data is corrupt");
  }
  return out.subarray(0, size);
}

/** Bytes that one compressed byte can become, and a few for those that are never full. */
const MOST_RATIO = 1032;
const SPARE = 1100;

/** Tells data that is too short before memory is taken for what it should become. @throws RangeError */
export function checkInflatable(compressed: number, size: number): void {
  if (size > compressed * MOST_RATIO + SPARE) throw new RangeError("compressed data is cut off");
}

/** Sums stay below 2^32 for so many bytes. */
const ADLER_BYTES = 3800;

function adler32(bytes: Uint8Array): number {
  let low = 1;
  let high = 0;
  for (let at = 0; at < bytes.length; ) {
    for (const end = Math.min(at + ADLER_BYTES, bytes.length); at < end; at++) {
      low += bytes[at] as number;
      high += low;
    }
    low %= 65521;
    high %= 65521;
  }
  return high * 65536 + low;
}

class Inflater {
  readonly #data: Uint8Array;
  readonly #out: Uint8Array;
  #at = 2;
  #done = 0;
  /** Bits that were taken ahead. */
  #buffer = 0;
  #buffered = 0;

  constructor(data: Uint8Array, size: number) {
    const [first = 0, second = 0] = data;
    if (data.length < 2) throw new RangeError("compressed data is cut off");
    const isZlib = (first & 15) === 8 && first >> 4 <= 7 && ((first << 8) | second) % 31 === 0;
    if (!isZlib || second & 0x20) throw new Unreadable("compressed data is no zlib stream");
    this.#data = data;
    this.#out = new Uint8Array(size);
  }

  run(): Uint8Array {
    for (let isLast = false; !isLast && this.#done < this.#out.length; ) {
      isLast = this.#take(1) === 1;
      const kind = this.#take(2);
      if (kind === 0) this.#copyStored();
      else if (kind === 1) this.#expand(FIXED_SYMBOLS, FIXED_DISTANCES);
      else if (kind === 2) this.#expand(...this.#readCodes());
      else throw new Unreadable("compressed data is corrupt");
    }
    return this.#out.subarray(0, this.#done);
  }

  /** The checksum behind the last block, when it is there. */
  checksum(): number | undefined {
    const at = this.#at - (this.#buffered >> 3);
    return at + 4 <= this.#data.length ? viewOf(this.#data).getUint32(at) : undefined;
  }

  #take(count: number): number {
    while (this.#buffered < count) {
      if (this.#at >= this.#data.length) throw new RangeError("compressed data is cut off");
      this.#buffer |= (this.#data[this.#at++] as number) << this.#buffered;
      this.#buffered += 8;
    }
    const value = this.#buffer & ((1 << count) - 1);
    this.#buffer >>>= count;
    this.#buffered -= count;
    return value;
  }

  #symbol({ short, long }: PrefixCode): number {
    while (this.#buffered < LONGEST_CODE && this.#at < this.#data.length) {
      this.#buffer |= (this.#data[this.#at++] as number) << this.#buffered;
      this.#buffered += 8;
    }
    const entry =
      short[this.#buffer & ((1 << SHORT_BITS) - 1)] || (long[this.#buffer & ((1 << LONGEST_CODE) - 1)] ?? 0);
    const length = entry & 15;
    if (length === 0) throw new Unreadable("compressed data is corrupt");
    if (length > this.#buffered) throw new RangeError("compressed data is cut off");
    this.#buffer >>>= length;
    this.#buffered -= length;
    return entry >>> 4;
  }

  #copyStored(): void {
    // Whole bytes that were taken ahead go back.
    this.#at -= this.#buffered >> 3;
    this.#buffer = 0;
    this.#buffered = 0;
    const length = this.#take(16);
    if (this.#take(16) !== (length ^ 0xffff)) throw new Unreadable("compressed data is corrupt");
    const kept = Math.min(length, this.#out.length - this.#done);
    if (this.#at + kept > this.#data.length) throw new RangeError("compressed data is cut off");
    this.#out.set(this.#data.subarray(this.#at, this.#at + kept), this.#done);
    this.#done += kept;
    this.#at += length;
  }

  #readCodes(): [PrefixCode, PrefixCode] {
    const symbols = this.#take(5) + 257;
    const distances = this.#take(5) + 1;
    if (symbols > 286 || distances > 30) throw new Unreadable("compressed data is corrupt");
    const given = new Uint8Array(ORDER.length);
    for (const place of ORDER.slice(0, this.#take(4) + 4)) given[place] = this.#take(3);
    const lengthCode = prefixCode(given);
    const lengths = new Uint8Array(symbols + distances);
    for (let i = 0; i < lengths.length; ) {
      const symbol = this.#symbol(lengthCode);
      if (symbol < 16) {
        lengths[i++] = symbol;
        continue;
      }
      if (symbol === 16 && i === 0) throw new Unreadable("compressed data is corrupt");
      const repeated = symbol === 16 ? (lengths[i - 1] as number) : 0;
      const times =
        symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7);
      if (i + times > lengths.length) throw new Unreadable("compressed data is corrupt");
      lengths.fill(repeated, i, i + times);
      i += times;
    }
    if (lengths[END_OF_BLOCK] === 0) throw new Unreadable("compressed data is corrupt");
    return [prefixCode(lengths.subarray(0, symbols)), prefixCode(lengths.subarray(symbols))];
  }

  /** The bits are kept in variables here: nearly all time is spent in this loop. */
  #expand(symbols: PrefixCode, distances: PrefixCode): void {
    const out = this.#out;
    const data = this.#data;
    const { short: shortSymbols, long: longSymbols } = symbols;
    const { short: shortDistances, long: longDistances } = distances;
    const shortMask = (1 << SHORT_BITS) - 1;
    const longMask = (1 << LONGEST_CODE) - 1;
    let done = this.#done;
    let at = this.#at;
    let buffer = this.#buffer;
    let buffered = this.#buffered;
    while (done < out.length) {
      // 16 bits or more, as long as there are some: enough for a code and, after it, for the bits that follow.
      while (buffered <= 16 && at < data.length) {
        buffer |= (data[at++] as number) << buffered;
        buffered += 8;
      }
      let entry = shortSymbols[buffer & shortMask] || (longSymbols[buffer & longMask] ?? 0);
      if ((entry & 15) === 0 || (entry & 15) > buffered) throw badCode(entry);
      buffer >>>= entry & 15;
      buffered -= entry & 15;
      const symbol = entry >>> 4;
      if (symbol < END_OF_BLOCK) {
        out[done++] = symbol;
        continue;
      }
      if (symbol === END_OF_BLOCK) break;
      while (buffered <= 16 && at < data.length) {
        buffer |= (data[at++] as number) << buffered;
        buffered += 8;
      }
      const lengthBits = LENGTH_BITS[symbol - END_OF_BLOCK - 1];
      if (lengthBits === undefined) throw badCode(0);
      const length = (LENGTH_BASE[symbol - END_OF_BLOCK - 1] as number) + (buffer & ((1 << lengthBits) - 1));
      buffer >>>= lengthBits;
      buffered -= lengthBits;
      while (buffered <= 16 && at < data.length) {
        buffer |= (data[at++] as number) << buffered;
        buffered += 8;
      }
      entry = shortDistances[buffer & shortMask] || (longDistances[buffer & longMask] ?? 0);
      if ((entry & 15) === 0 || (entry & 15) > buffered) throw badCode(entry);
      buffer >>>= entry & 15;
      buffered -= entry & 15;
      while (buffered <= 16 && at < data.length) {
        buffer |= (data[at++] as number) << buffered;
        buffered += 8;
      }
      const distanceBits = DISTANCE_BITS[entry >>> 4];
      if (distanceBits === undefined) throw badCode(0);
      const distance = (DISTANCE_BASE[entry >>> 4] as number) + (buffer & ((1 << distanceBits) - 1));
      buffer >>>= distanceBits;
      buffered -= distanceBits;
      if (buffered < 0) throw badCode(END_OF_BLOCK);
      if (distance > done) throw badCode(0);
      const end = Math.min(done + length, out.length);
      for (; done < end; done++) out[done] = out[done - distance] as number;
    }
    this.#done = done;
    this.#at = at;
    this.#buffer = buffer;
    this.#buffered = buffered;
  }
}

/** What is wrong with a table's entry: no code, or one that reaches past the end. */
function badCode(entry: number): Error {
  return entry === 0
    ? new Unreadable("compressed data is corrupt")
    : new RangeError("compressed data is cut off");
}

/** @param lengths bits of each symbol's code, 0 for none. @throws Unreadable for lengths that no code has */
function prefixCode(lengths: Uint8Array): PrefixCode {
  const counts = new Uint16Array(LONGEST_CODE + 1);
  for (const length of lengths) counts[length] = (counts[length] as number) + 1;
  counts[0] = 0;
  const next = new Uint16Array(LONGEST_CODE + 2);
  let room = 1;
  let bits = 0;
  for (let length = 1; length <= LONGEST_CODE; length++) {
    room = room * 2 - (counts[length] as number);
    if (room < 0) throw new Unreadable("compressed data is corrupt");
    next[length + 1] = ((next[length] as number) + (counts[length] as number)) << 1;
    if (counts[length]) bits = length;
  }
  // Codes that are left over are allowed to a single code alone.
  if (room > 0 && bits > 1) throw new Unreadable("compressed data is corrupt");
  const short = new Uint16Array(1 << SHORT_BITS);
  const long = new Uint16Array(bits > SHORT_BITS ? 1 << LONGEST_CODE : 0);
  lengths.forEach((length, symbol) => {
    if (length === 0) return;
    const code = next[length] as number;
    next[length] = code + 1;
    let reversed = 0;
    for (let bit = 0; bit < length; bit++) reversed |= ((code >> bit) & 1) << (length - 1 - bit);
    const table = length > SHORT_BITS ? long : short;
    for (let i = reversed; i < table.length; i += 1 << length) table[i] = (symbol << 4) | length;
  });
  return { short, long };
}

const FIXED_SYMBOLS = prefixCode(
  Uint8Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)),
);
const FIXED_DISTANCES = prefixCode(new Uint8Array(32).fill(5));
