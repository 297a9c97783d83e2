/** The tables of a JPEG file: quantization, Huffman codes and arithmetic conditioning, and those of a file without. */

import { Unreadable } from "../unreadable.ts";
import type { JpegStream } from "./stream.ts";

/** Where the coefficient of each zigzag position lies in a block; damaged data may run past its end. */
export const ZIGZAG = Uint8Array.of(
  ...[0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48],
  ...[41, 34, 27, 20, 13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23],
  ...[30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63],
  ...new Array(16).fill(63),
);

/** A Huffman code as a file defines it. */
export interface HuffmanCode {
  /** u8 [17]: how many codes have each length. */
  readonly counts: Uint8Array;
  /** u8 [256]: the symbols by rising code. */
  readonly symbols: Uint8Array;
}

export interface Tables {
  /** u16 [64] each, by place in the block (not zigzag). */
  readonly quantization: (Uint16Array | undefined)[];
  readonly dc: (HuffmanCode | undefined)[];
  readonly ac: (HuffmanCode | undefined)[];
  /** u8 [16] each: bounds of small DC differences, and of low AC positions. */
  readonly dcLower: Uint8Array;
  readonly dcUpper: Uint8Array;
  readonly acLow: Uint8Array;
}

export function emptyTables(): Tables {
  const tables: Tables = {
    quantization: [],
    dc: [],
    ac: [],
    dcLower: new Uint8Array(16),
    dcUpper: new Uint8Array(16),
    acLow: new Uint8Array(16),
  };
  resetConditioning(tables);
  return tables;
}

export function resetConditioning({ dcLower, dcUpper, acLow }: Tables): void {
  dcLower.fill(0);
  dcUpper.fill(1);
  acLow.fill(5);
}

export function readQuantization(stream: JpegStream, { quantization }: Tables): void {
  let length = stream.word() - 2;
  for (; length > 0; length -= 65) {
    const head = stream.byte();
    const isWide = head >> 4 !== 0;
    if ((head & 15) > 3) throw new Unreadable("a quantization table has no such number");
    const table = new Uint16Array(64);
    for (let i = 0; i < 64; i++) table[ZIGZAG[i] as number] = isWide ? stream.word() : stream.byte();
    quantization[head & 15] = table;
    if (isWide) length -= 64;
  }
  if (length !== 0) throw new Unreadable("a quantization segment has a wrong length");
}

export function readHuffman(stream: JpegStream, { dc, ac }: Tables): void {
  let length = stream.word() - 2;
  while (length > 16) {
    const head = stream.byte();
    const counts = new Uint8Array(17);
    let total = 0;
    for (let i = 1; i <= 16; i++) {
      counts[i] = stream.byte();
      total += counts[i] as number;
    }
    length -= 17;
    if (total > 256 || total > length) throw new Unreadable("a Huffman code has too many symbols");
    const symbols = new Uint8Array(256);
    for (let i = 0; i < total; i++) symbols[i] = stream.byte();
    length -= total;
    if ((head & ~0x10) > 3) throw new Unreadable("a Huffman code has no such number");
    (head & 0x10 ? ac : dc)[head & 3] = { counts, symbols };
  }
  if (length !== 0) throw new Unreadable("a Huffman segment has a wrong length");
}

export function readConditioning(stream: JpegStream, { dcLower, dcUpper, acLow }: Tables): void {
  let length = stream.word() - 2;
  for (; length > 0; length -= 2) {
    const index = stream.byte();
    const value = stream.byte();
    if (index >= 32) throw new Unreadable("an arithmetic conditioning has no such number");
    if (index >= 16) {
      acLow[index - 16] = value;
      continue;
    }
    dcLower[index] = value & 15;
    dcUpper[index] = value >> 4;
    if ((value & 15) > value >> 4) throw new Unreadable("an arithmetic conditioning has crossed bounds");
  }
  if (length !== 0) throw new Unreadable("a conditioning segment has a wrong length");
}

/** Motion JPEG leaves out the codes of the standard's annex K.3. */
export function addStandardCodes({ dc, ac }: Tables): void {
  dc[0] ??= standardCode([0, 1, 5, 1, 1, 1, 1, 1, 1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  dc[1] ??= standardCode([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  ac[0] ??= standardCode(
    [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a34353637" +
      "38393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2" +
      "a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8" +
      "f9fa",
  );
  ac[1] ??= standardCode(
    [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
    "0001020311040521310612415107617113223281081442" +
      "91a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a6364" +
      "65666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4" +
      "c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
  );
}

function standardCode(counts: readonly number[], values: readonly number[] | string): HuffmanCode {
  const symbols = new Uint8Array(256);
  if (typeof values === "string") {
    for (let i = 0; i < values.length / 2; i++)
      symbols[i] = Number.parseInt(values.slice(2 * i, 2 * i + 2), 16);
  } else {
    symbols.set(values);
  }
  const all = new Uint8Array(17);
  all.set(counts, 1);
  return { counts: all, symbols };
}
