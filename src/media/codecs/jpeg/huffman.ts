/** Huffman-coded data: bits, codes, and the blocks of a sequential scan. */

import { Unreadable } from "../unreadable.ts";
import type { EntropyDecoder } from "./entropy.ts";
import type { Scan } from "./frame.ts";
import type { JpegStream } from "./stream.ts";
import { type HuffmanCode, type Tables, ZIGZAG } from "./tables.ts";

const LOOKAHEAD = 10;
/** The flag in an entry. */
export const HAS_VALUE = 1 << 5;
/** Bits of the largest number that an entry has room for. */
const MAX_VALUE_BITS = 8;

/**
 * A code made ready. An entry of the lookup, by the next ten bits, holds from the lowest bit: 5 bits length of code
 * and number, a flag that the number is there too, 5 bits length of the code, the symbol from bit 12, the number
 * from bit 23. 0 where the code is longer.
 */
export interface HuffmanTable {
  readonly lookup: Int32Array;
  /** By length: the largest code (-1 for none), and what to add to a code for the place of its symbol. */
  readonly maxCodes: Int32Array;
  readonly offsets: Int32Array;
  readonly symbols: Uint8Array;
}

/** @param maxSymbol of codes for numbers' sizes the largest; undefined for codes of AC coefficients */
export function huffmanTable(code: HuffmanCode | undefined, maxSymbol?: number): HuffmanTable {
  if (!code) throw new Unreadable("a Huffman code is missing");
  const { counts, symbols } = code;
  const lookup = new Int32Array(1 << LOOKAHEAD);
  const maxCodes = new Int32Array(18).fill(-1);
  const offsets = new Int32Array(18);
  let next = 0;
  let place = 0;
  for (let length = 1; length <= 16; length++, next <<= 1) {
    const count = counts[length] as number;
    if (place + count > 256 || (count > 0 && next + count >= 2 ** length))
      throw new Unreadable("a Huffman code is not one");
    if (count > 0) {
      offsets[length] = place - next;
      maxCodes[length] = next + count - 1;
    }
    for (let i = 0; i < count; i++, place++, next++) {
      const symbol = symbols[place] as number;
      if (symbol > (maxSymbol ?? 255)) throw new Unreadable("a Huffman code has a symbol out of range");
      if (length > LOOKAHEAD) continue;
      const rest = LOOKAHEAD - length;
      for (let tail = 0; tail < 1 << rest; tail++) {
        const bits = maxSymbol === undefined ? symbol & 15 : symbol;
        // A number of no bits is one only for sizes: of AC codes it is a run of zeros.
        const fits = bits <= Math.min(rest, MAX_VALUE_BITS) && (bits > 0 || maxSymbol !== undefined);
        const value = fits ? extend((tail >> (rest - bits)) & ((1 << bits) - 1), bits) : 0;
        const numberBits = fits ? bits | HAS_VALUE : 0;
        lookup[(next << rest) | tail] =
          (value << 23) | (symbol << 12) | (length << 6) | (length + numberBits);
      }
    }
  }
  return { lookup, maxCodes, offsets, symbols };
}

/** A number of `bits` bits: those that begin with 0 are negative. */
export function extend(number: number, bits: number): number {
  return bits > 0 && number < 1 << (bits - 1) ? number - (1 << bits) + 1 : number;
}

/** Bits of entropy-coded data. Behind its end come zeros; `ranOut` tells that some were used. */
export class BitReader {
  /** The lowest `count` bits are to come. */
  bits = 0;
  count = 0;
  private readonly stream: JpegStream;
  /** How many of the bits to come lie behind the end. */
  private padding = 0;

  constructor(stream: JpegStream) {
    this.stream = stream;
  }

  get ranOut(): boolean {
    return this.count < this.padding;
  }

  reset(): void {
    this.bits = 0;
    this.count = 0;
    this.padding = 0;
  }

  /** Loads at least 17 bits. @throws EndOfData */
  fill(): void {
    const { stream } = this;
    const { bytes, position } = stream;
    if (stream.marker === 0 && this.count > 0 && this.count <= 16 && position + 2 <= stream.end) {
      const first = bytes[position] as number;
      const second = bytes[position + 1] as number;
      if (first !== 0xff && second !== 0xff) {
        this.bits = (this.bits << 16) | (first << 8) | second;
        this.count += 16;
        stream.position = position + 2;
        return;
      }
    }
    while (this.count <= 24) {
      const byte = stream.dataByte();
      if (stream.marker !== 0) this.padding += 8;
      this.bits = (this.bits << 8) | byte;
      this.count += 8;
    }
  }

  /** @param count 1 to 16 */
  take(count: number): number {
    if (this.count < count) this.fill();
    this.count -= count;
    return (this.bits >>> this.count) & ((1 << count) - 1);
  }

  /** The table's entry for the bits to come, which are not taken yet. At least 17 are loaded. */
  entry({ lookup }: HuffmanTable): number {
    if (this.count <= 16) this.fill();
    return lookup[(this.bits >>> (this.count - LOOKAHEAD)) & ((1 << LOOKAHEAD) - 1)] as number;
  }

  symbol(table: HuffmanTable): number {
    const entry = this.entry(table);
    if (entry !== 0) {
      this.count -= (entry >> 6) & 31;
      return (entry >> 12) & 255;
    }
    const { maxCodes, offsets, symbols } = table;
    for (let length = LOOKAHEAD + 1; length <= 16; length++) {
      const code = (this.bits >>> (this.count - length)) & ((1 << length) - 1);
      if (code > (maxCodes[length] as number)) continue;
      this.count -= length;
      return symbols[code + (offsets[length] as number)] as number;
    }
    // No code begins so. Seventeen bits were looked at.
    this.count -= 17;
    return 0;
  }

  /** A number whose size is coded. */
  number(table: HuffmanTable): number {
    const entry = this.entry(table);
    if (entry & HAS_VALUE) {
      this.count -= entry & 31;
      return entry >> 23;
    }
    const size = this.symbol(table);
    return size === 0 ? 0 : extend(this.take(size), size);
  }
}

/** What all Huffman decoders of lossy scans have in common: restarts and predictions. */
export abstract class HuffmanDecoder implements EntropyDecoder {
  isExhausted = false;
  protected readonly reader: BitReader;
  /** i32: the last DC value of each of the scan's components. */
  protected readonly predictions: Int32Array;
  private readonly stream: JpegStream;
  private nextRestart = 0;

  constructor(stream: JpegStream, scan: Scan) {
    this.stream = stream;
    this.reader = new BitReader(stream);
    this.predictions = new Int32Array(scan.components.length);
  }

  restart(): void {
    this.reader.reset();
    this.stream.passRestart(this.nextRestart);
    this.nextRestart = (this.nextRestart + 1) & 7;
    this.predictions.fill(0);
    // A marker that was left says that this segment is empty.
    if (this.stream.marker === 0) this.isExhausted = false;
  }

  endMcu(): void {
    if (this.reader.ranOut) this.isExhausted = true;
  }

  abstract decodeBlock(index: number, coefficients: Int16Array, at: number): boolean;
}

export class SequentialHuffman extends HuffmanDecoder {
  private readonly dc: readonly HuffmanTable[];
  private readonly ac: readonly HuffmanTable[];

  constructor(stream: JpegStream, scan: Scan, tables: Tables) {
    super(stream, scan);
    this.dc = scan.components.map(({ dcIndex }) => huffmanTable(tables.dc[dcIndex], 15));
    this.ac = scan.components.map(({ acIndex }) => huffmanTable(tables.ac[acIndex]));
  }

  decodeBlock(index: number, coefficients: Int16Array, at: number): boolean {
    const { reader, predictions } = this;
    const dc = (predictions[index] as number) + reader.number(this.dc[index] as HuffmanTable);
    predictions[index] = dc;
    coefficients[at] = dc;

    const table = this.ac[index] as HuffmanTable;
    const { lookup } = table;
    const zigzag = ZIGZAG;
    let { bits, count } = reader;
    let k = 1;
    for (; k < 64; k++) {
      if (count <= 16) {
        reader.count = count;
        reader.fill();
        bits = reader.bits;
        count = reader.count;
      }
      const entry = lookup[(bits >>> (count - LOOKAHEAD)) & ((1 << LOOKAHEAD) - 1)] as number;
      if (entry & HAS_VALUE) {
        count -= entry & 31;
        k += (entry >> 16) & 15;
        coefficients[at + (zigzag[k] as number)] = entry >> 23;
        continue;
      }
      reader.count = count;
      const symbol = reader.symbol(table);
      const size = symbol & 15;
      if (size > 0) {
        k += symbol >> 4;
        coefficients[at + (zigzag[k] as number)] = extend(reader.take(size), size);
      } else if (symbol === 0xf0) {
        k += 15;
      } else {
        return k > 1;
      }
      bits = reader.bits;
      count = reader.count;
    }
    reader.count = count;
    return true;
  }
}
