/** Fax data: modified Huffman codes, Group 3 of one and two dimensions, Group 4. Black is 1. */

import { BLACK_CODES, COMMON_CODES, MODE_CODES, type Mode, WHITE_CODES } from "./fax-codes.ts";

export type FaxKind = "huffman" | "group 3" | "group 3, two dimensions" | "group 4";

/** Zeros that begin an end of line. */
const EOL_ZEROS = 11;
const WHITE = 0;

/**
 * Rows of one bit a pixel. As in libtiff, what comes behind a code that means nothing is white up to the end of its row,
 * and so is what is missing of the last row.
 *
 * @throws RangeError when the data ends before the last row
 */
export function decodeFax(data: Uint8Array, kind: FaxKind, width: number, height: number): Uint8Array {
  const bits = new FaxBits(data);
  const rowBytes = (width + 7) >>> 3;
  const out = new Uint8Array(rowBytes * height);
  // Columns where the colour changes, ascending; all white at first.
  let above = new Uint32Array(width + 4).fill(width);
  let current = new Uint32Array(width + 4);
  for (let y = 0; y < height; y++) {
    if (kind === "group 3" || kind === "group 3, two dimensions") bits.passEndOfLine();
    const isFlat = kind === "huffman" || kind === "group 3" || (kind !== "group 4" && bits.take(1) === 1);
    const count = isFlat ? readRuns(bits, width, current) : readChanges(bits, width, above, current);
    const isEarly = bits.isCut || (kind === "group 4" && bits.isEnd);
    if (isEarly && y < height - 1) throw new RangeError("fax data is cut off");
    current.fill(width, count);
    if (kind === "huffman") bits.alignToByte();
    for (let i = 0; i < count; i += 2)
      blacken(out, y * rowBytes, current[i] as number, current[i + 1] as number);
    [above, current] = [current, above];
  }
  return out;
}

/** A row of runs, white first. @returns how many changes it has */
function readRuns(bits: FaxBits, width: number, changes: Uint32Array): number {
  const row = new Row(width, changes);
  while (row.column < width) {
    const run = bits.run(row.colour);
    if (run === undefined || !row.add(row.column + run)) return row.broken();
  }
  return row.count;
}

/** A row told by how it differs from the one above. @returns how many changes it has */
function readChanges(bits: FaxBits, width: number, above: Uint32Array, changes: Uint32Array): number {
  const row = new Row(width, changes);
  let isStart = true;
  let i = 0;
  while (row.column < width) {
    const mode = bits.mode();
    if (mode === undefined) return row.broken();
    // The rest has the present colour.
    if (mode === "end" || mode === "extension") return row.count;
    // The change above that lies to the right and leaves the present colour; of the first pixel it may be above.
    i = Math.max(0, i - 2);
    if ((i & 1) !== row.colour) i++;
    const least = isStart ? 0 : row.column + 1;
    while ((above[i] as number) < least && (above[i] as number) < width) i += 2;
    isStart = false;
    if (mode === "pass") {
      row.column = above[i + 1] as number;
    } else if (mode === "runs") {
      for (let runs = 0; runs < 2; runs++) {
        const run = bits.run(row.colour);
        if (run === undefined || !row.add(row.column + run)) return row.broken();
      }
    } else if (!row.add((above[i] as number) + mode)) {
      return row.broken();
    }
  }
  return row.count;
}

class Row {
  readonly #width: number;
  readonly #changes: Uint32Array;
  count = 0;
  column = 0;
  /** 1 is black. */
  colour = WHITE;

  constructor(width: number, changes: Uint32Array) {
    this.#width = width;
    this.#changes = changes;
  }

  /** The colour changes at a column; false when that can not be. */
  add(column: number): boolean {
    if (column < this.column || column > this.#width) return false;
    this.column = column;
    this.colour ^= 1;
    // There and back at one column is no change.
    if (this.count > 0 && this.#changes[this.count - 1] === column) this.count--;
    else this.#changes[this.count++] = column;
    return true;
  }

  /** Ends the row in white. */
  broken(): number {
    return this.count - (this.count & 1);
  }
}

/** Sets the bits from .. to-1 of a row. */
function blacken(out: Uint8Array, row: number, from: number, to: number): void {
  for (let x = from; x < to; ) {
    if ((x & 7) === 0 && x + 8 <= to) {
      const end = to & ~7;
      out.fill(0xff, row + (x >>> 3), row + (end >>> 3));
      x = end;
    } else {
      out[row + (x >>> 3)] = (out[row + (x >>> 3)] as number) | (0x80 >> (x & 7));
      x++;
    }
  }
}

class FaxBits {
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  /** Whether more was asked for than there is. */
  isCut = false;
  /** Whether an end of line stood in place of a mode. */
  isEnd = false;

  #hasMore(): boolean {
    if (this.#at >= this.#data.length * 8) this.isCut = true;
    return !this.isCut;
  }

  /** The next bits, of which those behind the end are 0. */
  #peek(count: number): number {
    const byte = this.#at >>> 3;
    const next =
      ((this.#data[byte] ?? 0) << 16) | ((this.#data[byte + 1] ?? 0) << 8) | (this.#data[byte + 2] ?? 0);
    return (next >>> (24 - count - (this.#at & 7))) & ((1 << count) - 1);
  }

  take(count: number): number {
    const value = this.#peek(count);
    this.#at += count;
    return value;
  }

  alignToByte(): void {
    this.#at = (this.#at + 7) & ~7;
  }

  /** Goes behind the next end of line; what comes before it is passed over. */
  passEndOfLine(): void {
    for (let zeros = 0; this.#hasMore(); ) {
      const bit = this.take(1);
      if (bit === 1 && zeros >= EOL_ZEROS) return;
      zeros = bit === 0 ? zeros + 1 : 0;
    }
  }

  /** A run of one colour, put together of its codes; undefined for a code that means none, and at the end. */
  run(colour: number): number | undefined {
    const codes = colour === WHITE ? WHITE_TABLE : BLACK_TABLE;
    for (let sum = 0; this.#hasMore(); ) {
      const entry = codes[this.#peek(13)] as number;
      if (entry === 0) return undefined;
      this.#at += entry & 15;
      const length = (entry >>> 4) - 1;
      sum += length;
      if (length < 64) return sum;
    }
    return undefined;
  }

  /** Undefined for a code that means none, which stays, and at the end. */
  mode(): Mode | undefined {
    if (!this.#hasMore()) return undefined;
    const entry = MODE_TABLE[this.#peek(7)];
    this.#at += entry?.bits ?? 0;
    this.isEnd = entry?.mode === "end";
    return entry?.mode;
  }
}

/** For the next 13 bits: the run's length plus one, times 16, and the bits of its code; 0 for none. */
function runTable(codes: Readonly<Record<number, string>>): Uint16Array {
  const table = new Uint16Array(1 << 13);
  for (const [length, code] of [...Object.entries(codes), ...Object.entries(COMMON_CODES)]) {
    const first = Number.parseInt(code, 2) << (13 - code.length);
    table.fill(((Number(length) + 1) << 4) | code.length, first, first + (1 << (13 - code.length)));
  }
  return table;
}

const WHITE_TABLE = runTable(WHITE_CODES);
const BLACK_TABLE = runTable(BLACK_CODES);
const MODE_TABLE: ({ mode: Mode; bits: number } | undefined)[] = new Array(1 << 7).fill(undefined);
for (const [code, mode] of MODE_CODES) {
  const first = Number.parseInt(code, 2) << (7 - code.length);
  MODE_TABLE.fill({ mode, bits: code.length }, first, first + (1 << (7 - code.length)));
}
