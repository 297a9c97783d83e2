/** The blocks of a progressive scan in Huffman codes: first values and refinements, of DC and of a band of AC. */

import { Unreadable } from "../unreadable.ts";
import type { EntropyDecoder } from "./entropy.ts";
import type { Scan } from "./frame.ts";
import { extend, HAS_VALUE, HuffmanDecoder, type HuffmanTable, huffmanTable } from "./huffman.ts";
import type { JpegStream } from "./stream.ts";
import { type Tables, ZIGZAG } from "./tables.ts";

/** @param hasAc of a scan of AC coefficients: which of the component's blocks have some */
export function progressiveHuffman(
  stream: JpegStream,
  scan: Scan,
  tables: Tables,
  hasAc: Uint8Array,
): EntropyDecoder {
  if (scan.first === 0) {
    return scan.high === 0 ? new FirstDc(stream, scan, tables) : new RefinedDc(stream, scan);
  }
  const Decoder = scan.high === 0 ? FirstAc : RefinedAc;
  return new Decoder(stream, scan, tables, hasAc);
}

class FirstDc extends HuffmanDecoder {
  private readonly tables: readonly HuffmanTable[];
  private readonly low: number;

  constructor(stream: JpegStream, scan: Scan, { dc }: Tables) {
    super(stream, scan);
    this.tables = scan.components.map(({ dcIndex }) => huffmanTable(dc[dcIndex], 15));
    this.low = scan.low;
  }

  decodeBlock(index: number, coefficients: Int16Array, at: number): boolean {
    const dc = (this.predictions[index] as number) + this.reader.number(this.tables[index] as HuffmanTable);
    if (dc !== (dc | 0)) throw new Unreadable("a DC value is out of range");
    this.predictions[index] = dc;
    coefficients[at] = dc << this.low;
    return false;
  }
}

class RefinedDc extends HuffmanDecoder {
  private readonly bit: number;

  constructor(stream: JpegStream, scan: Scan) {
    super(stream, scan);
    this.bit = 1 << scan.low;
  }

  decodeBlock(_index: number, coefficients: Int16Array, at: number): boolean {
    if (this.reader.take(1)) coefficients[at] = (coefficients[at] as number) | this.bit;
    return false;
  }
}

abstract class AcDecoder extends HuffmanDecoder {
  protected readonly table: HuffmanTable;
  protected readonly first: number;
  protected readonly last: number;
  protected readonly low: number;
  protected readonly hasAc: Uint8Array;
  /** Blocks to come whose band holds nothing new. */
  protected emptyBlocks = 0;

  constructor(stream: JpegStream, scan: Scan, { ac }: Tables, hasAc: Uint8Array) {
    super(stream, scan);
    this.hasAc = hasAc;
    this.table = huffmanTable(ac[scan.components[0]?.acIndex ?? 0]);
    this.first = scan.first;
    this.last = scan.last;
    this.low = scan.low;
  }

  override restart(): void {
    super.restart();
    this.emptyBlocks = 0;
  }

  /** The length of a run of blocks, whose logarithm is the upper half of the symbol. */
  protected runOfBlocks(logarithm: number): number {
    return (1 << logarithm) + (logarithm > 0 ? this.reader.take(logarithm) : 0);
  }
}

class FirstAc extends AcDecoder {
  decodeBlock(_index: number, coefficients: Int16Array, at: number): boolean {
    if (this.emptyBlocks > 0) {
      this.emptyBlocks -= 1;
      return false;
    }
    const { reader, table, first, last, low } = this;
    const zigzag = ZIGZAG;
    let k = first;
    for (; k <= last; k++) {
      const entry = reader.entry(table);
      if (entry & HAS_VALUE) {
        reader.count -= entry & 31;
        k += (entry >> 16) & 15;
        coefficients[at + (zigzag[k] as number)] = (entry >> 23) << low;
        continue;
      }
      const symbol = reader.symbol(table);
      const size = symbol & 15;
      if (size > 0) {
        k += symbol >> 4;
        coefficients[at + (zigzag[k] as number)] = extend(reader.take(size), size) << low;
      } else if (symbol === 0xf0) {
        k += 15;
      } else {
        this.emptyBlocks = this.runOfBlocks(symbol >> 4) - 1;
        break;
      }
    }
    return k > first;
  }
}

class RefinedAc extends AcDecoder {
  decodeBlock(_index: number, coefficients: Int16Array, at: number): boolean {
    // Without this, many scans of long runs over an empty picture would take long.
    if (this.emptyBlocks > 0 && this.hasAc[at >> 6] === 0) {
      this.emptyBlocks -= 1;
      return false;
    }
    const { reader, table, last } = this;
    const zigzag = ZIGZAG;
    const bit = 1 << this.low;
    let hasNew = false;
    let k = this.first;
    if (this.emptyBlocks === 0) {
      for (; k <= last; k++) {
        const symbol = reader.symbol(table);
        let zeros = symbol >> 4;
        let value = 0;
        if ((symbol & 15) !== 0) {
          value = reader.take(1) ? bit : -bit;
        } else if (zeros !== 15) {
          this.emptyBlocks = this.runOfBlocks(zeros);
          break;
        }
        // Passes over the zeros of the run, and refines the values between them.
        for (; k <= last; k++) {
          const place = at + (zigzag[k] as number);
          if (coefficients[place] !== 0) this.refine(coefficients, place, bit);
          else if (--zeros < 0) break;
        }
        if (value === 0) continue;
        coefficients[at + (zigzag[k] as number)] = value;
        hasNew = true;
      }
    }
    if (this.emptyBlocks === 0) return hasNew;
    for (; k <= last; k++) {
      const place = at + (zigzag[k] as number);
      if (coefficients[place] !== 0) this.refine(coefficients, place, bit);
    }
    this.emptyBlocks -= 1;
    return hasNew;
  }

  private refine(coefficients: Int16Array, place: number, bit: number): void {
    if (!this.reader.take(1)) return;
    const value = coefficients[place] as number;
    if ((value & bit) === 0) coefficients[place] = value + (value >= 0 ? bit : -bit);
  }
}
