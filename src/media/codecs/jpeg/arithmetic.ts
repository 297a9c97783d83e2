/** Arithmetic-coded data: binary decisions with learnt probabilities, and the blocks of all kinds of scans. */

import type { EntropyDecoder } from "./entropy.ts";
import type { Scan } from "./frame.ts";
import type { JpegStream } from "./stream.ts";
import { type Tables, ZIGZAG } from "./tables.ts";

/** Table D.3 of the standard, and a state 113 of equal chances: probability of the less probable symbol... */
const PROBABILITY = Uint16Array.of(
  ...[
    0x5a1d, 0x2586, 0x1114, 0x080b, 0x03d8, 0x01da, 0x00e5, 0x006f, 0x0036, 0x001a, 0x000d, 0x0006, 0x0003,
    0x0001,
  ],
  ...[
    0x5a7f, 0x3f25, 0x2cf2, 0x207c, 0x17b9, 0x1182, 0x0cef, 0x09a1, 0x072f, 0x055c, 0x0406, 0x0303, 0x0240,
    0x01b1,
  ],
  ...[
    0x0144, 0x00f5, 0x00b7, 0x008a, 0x0068, 0x004e, 0x003b, 0x002c, 0x5ae1, 0x484c, 0x3a0d, 0x2ef1, 0x261f,
    0x1f33,
  ],
  ...[
    0x19a8, 0x1518, 0x1177, 0x0e74, 0x0bfb, 0x09f8, 0x0861, 0x0706, 0x05cd, 0x04de, 0x040f, 0x0363, 0x02d4,
    0x025c,
  ],
  ...[
    0x01f8, 0x01a4, 0x0160, 0x0125, 0x00f6, 0x00cb, 0x00ab, 0x008f, 0x5b12, 0x4d04, 0x412c, 0x37d8, 0x2fe8,
    0x293c,
  ],
  ...[
    0x2379, 0x1edf, 0x1aa9, 0x174e, 0x1424, 0x119c, 0x0f6b, 0x0d51, 0x0bb6, 0x0a40, 0x5832, 0x4d1c, 0x438e,
    0x3bdd,
  ],
  ...[
    0x34ee, 0x2eae, 0x299a, 0x2516, 0x5570, 0x4ca9, 0x44d9, 0x3e22, 0x3824, 0x32b4, 0x2e17, 0x56a8, 0x4f46,
    0x47e5,
  ],
  ...[
    0x41cf, 0x3c3d, 0x375e, 0x5231, 0x4c0f, 0x4639, 0x415e, 0x5627, 0x50e7, 0x4b85, 0x5597, 0x504f, 0x5a10,
    0x5522,
  ],
  ...[0x59eb, 0x5a1d],
);
/** ...the next state after it (and 128 where the two symbols change places), and after the more probable one. */
const NEXT_LESS = Uint8Array.of(
  ...[129, 14, 16, 18, 20, 23, 25, 28, 30, 33, 35, 9, 10, 12, 143, 36, 38, 39, 40, 42, 43, 45],
  ...[46, 48, 49, 51, 52, 54, 56, 57, 59, 60, 62, 63, 32, 33, 165, 64, 65, 67, 68, 69, 70, 72],
  ...[73, 74, 75, 77, 78, 79, 48, 50, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61, 61, 193, 80],
  ...[81, 82, 83, 84, 86, 87, 87, 72, 72, 74, 74, 75, 77, 77, 208, 88, 89, 90, 91, 92, 93, 86],
  ...[216, 95, 96, 97, 99, 99, 93, 223, 101, 102, 103, 104, 99, 105, 106, 107, 103, 233, 108, 109, 110, 111],
  ...[238, 112, 240, 113],
);
const NEXT_MORE = Uint8Array.of(
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],
  ...[25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 9, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48],
  ...[49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 32, 65, 66, 67, 68, 69, 70, 71, 72],
  ...[73, 74, 75, 76, 77, 78, 79, 48, 81, 82, 83, 84, 85, 86, 87, 71, 89, 90, 91, 92, 93, 94, 86, 96],
  ...[97, 98, 99, 100, 93, 102, 103, 104, 99, 106, 107, 103, 109, 107, 111, 109, 111, 113],
);

const EVEN = 113;
const DC_STATES = 64;
const AC_STATES = 256;
/** A number of more bits than any coefficient has. */
const TOO_LARGE = 0x8000;

/** Decisions of one segment. A state is one byte: its number, and 128 when 1 is the more probable symbol. */
class DecisionReader {
  private readonly stream: JpegStream;
  private code = 0;
  private interval = 0;
  private shift = -16;

  constructor(stream: JpegStream) {
    this.stream = stream;
  }

  reset(): void {
    this.code = 0;
    this.interval = 0;
    this.shift = -16;
  }

  /** Decides by states[at], which learns. */
  decide(states: Uint8Array, at = 0): number {
    while (this.interval < 0x8000) {
      this.shift -= 1;
      if (this.shift < 0) {
        this.code = (this.code << 8) | this.stream.dataByte();
        this.shift += 8;
        // The first two bytes fill the register.
        if (this.shift < 0) {
          this.shift += 1;
          if (this.shift === 0) this.interval = 0x8000;
        }
      }
      this.interval <<= 1;
    }
    const state = states[at] as number;
    const number = state & 127;
    const likely = state & 128;
    const less = PROBABILITY[number] as number;
    this.interval -= less;
    const bound = this.interval << this.shift;
    let isLess: boolean;
    if (this.code >= bound) {
      this.code -= bound;
      isLess = this.interval >= less;
      this.interval = less;
    } else {
      if (this.interval >= 0x8000) return state >> 7;
      isLess = this.interval < less;
    }
    states[at] = likely ^ ((isLess ? NEXT_LESS : NEXT_MORE)[number] as number);
    return isLess ? (likely >> 7) ^ 1 : likely >> 7;
  }
}

export class ArithmeticDecoder implements EntropyDecoder {
  /** Hitting a marker is legal here: zeros follow. */
  readonly isExhausted = false;
  private readonly stream: JpegStream;
  private readonly reader: DecisionReader;
  private readonly scan: Scan;
  private readonly tables: Tables;
  private readonly hasAc: Uint8Array | undefined;
  /** Bits below those that the scan brings. */
  private readonly low: number;
  private readonly readBlock: (index: number, coefficients: Int16Array, at: number) => boolean;
  private readonly dcStates: Uint8Array[] = [];
  private readonly acStates: Uint8Array[] = [];
  private readonly even = new Uint8Array([EVEN]);
  private readonly predictions: Int32Array;
  /** Where the states of each component's next DC difference begin. */
  private readonly contexts: Uint8Array;
  /** Nonsense was met: the rest of the segment is left as it is. */
  private isBroken = false;
  private nextRestart = 0;

  /** @param hasAc of a progressive scan of AC coefficients: which blocks have some */
  constructor(stream: JpegStream, scan: Scan, tables: Tables, isProgressive: boolean, hasAc?: Uint8Array) {
    this.stream = stream;
    this.reader = new DecisionReader(stream);
    this.scan = scan;
    this.tables = tables;
    this.hasAc = hasAc;
    this.low = isProgressive ? scan.low : 0;
    this.predictions = new Int32Array(scan.components.length);
    this.contexts = new Uint8Array(scan.components.length);
    for (const { dcIndex, acIndex } of scan.components) {
      this.dcStates[dcIndex] ??= new Uint8Array(DC_STATES);
      this.acStates[acIndex] ??= new Uint8Array(AC_STATES);
    }
    if (!isProgressive) this.readBlock = this.readWhole;
    else if (scan.first === 0) this.readBlock = scan.high === 0 ? this.readDc : this.refineDc;
    else this.readBlock = scan.high === 0 ? this.readBand : this.refineBand;
  }

  restart(): void {
    this.stream.passRestart(this.nextRestart);
    this.nextRestart = (this.nextRestart + 1) & 7;
    for (const states of [...this.dcStates, ...this.acStates]) states?.fill(0);
    this.predictions.fill(0);
    this.contexts.fill(0);
    this.reader.reset();
    this.isBroken = false;
  }

  decodeBlock(index: number, coefficients: Int16Array, at: number): boolean {
    return !this.isBroken && this.readBlock(index, coefficients, at);
  }

  endMcu(): void {}

  private readWhole(index: number, coefficients: Int16Array, at: number): boolean {
    this.readDc(index, coefficients, at);
    return !this.isBroken && this.readAc(index, coefficients, at, 1, 63);
  }

  private readDc(index: number, coefficients: Int16Array, at: number): boolean {
    const { reader, predictions, contexts } = this;
    const table = this.scan.components[index]?.dcIndex ?? 0;
    const states = this.dcStates[table] as Uint8Array;
    const context = contexts[index] as number;
    if (reader.decide(states, context) === 0) {
      contexts[index] = 0;
    } else {
      const sign = reader.decide(states, context + 1);
      let place = context + 2 + sign;
      let size = reader.decide(states, place);
      if (size !== 0) {
        place = 20;
        while (reader.decide(states, place) !== 0) {
          size <<= 1;
          if (size === TOO_LARGE) {
            this.isBroken = true;
            return false;
          }
          place += 1;
        }
      }
      if (size < (1 << (this.tables.dcLower[table] as number)) >> 1) contexts[index] = 0;
      else if (size > (1 << (this.tables.dcUpper[table] as number)) >> 1) contexts[index] = 12 + sign * 4;
      else contexts[index] = 4 + sign * 4;
      const value = this.readMagnitude(states, place + 14, size);
      predictions[index] = ((predictions[index] as number) + (sign ? -value : value)) & 0xffff;
    }
    coefficients[at] = (predictions[index] as number) << this.low;
    return false;
  }

  private refineDc(_index: number, coefficients: Int16Array, at: number): boolean {
    if (this.reader.decide(this.even)) coefficients[at] = (coefficients[at] as number) | (1 << this.low);
    return false;
  }

  private readBand(_index: number, coefficients: Int16Array, at: number): boolean {
    return this.readAc(0, coefficients, at, this.scan.first, this.scan.last);
  }

  private readAc(index: number, coefficients: Int16Array, at: number, first: number, last: number): boolean {
    const { reader } = this;
    const table = this.scan.components[index]?.acIndex ?? 0;
    const states = this.acStates[table] as Uint8Array;
    for (let k = first; k <= last; k++) {
      let place = 3 * (k - 1);
      if (reader.decide(states, place) !== 0) return k > first;
      while (reader.decide(states, place + 1) === 0) {
        place += 3;
        k += 1;
        if (k > last) {
          this.isBroken = true;
          return true;
        }
      }
      const sign = reader.decide(this.even);
      place += 2;
      let size = reader.decide(states, place);
      if (size !== 0 && reader.decide(states, place) !== 0) {
        size = 2;
        place = k <= (this.tables.acLow[table] as number) ? 189 : 217;
        while (reader.decide(states, place) !== 0) {
          size <<= 1;
          if (size === TOO_LARGE) {
            this.isBroken = true;
            return true;
          }
          place += 1;
        }
      }
      const value = this.readMagnitude(states, place + 14, size);
      coefficients[at + (ZIGZAG[k] as number)] = (sign ? -value : value) << this.low;
    }
    return true;
  }

  /** The lower bits of a number whose highest one is `size`, and one more. */
  private readMagnitude(states: Uint8Array, place: number, size: number): number {
    let value = size;
    for (let bit = size >> 1; bit > 0; bit >>= 1) {
      if (this.reader.decide(states, place) !== 0) value |= bit;
    }
    return value + 1;
  }

  private refineBand(_index: number, coefficients: Int16Array, at: number): boolean {
    const { reader, hasAc } = this;
    const { first, last } = this.scan;
    const states = this.acStates[this.scan.components[0]?.acIndex ?? 0] as Uint8Array;
    const bit = 1 << this.low;
    let hasNew = false;
    let lastKnown = hasAc?.[at >> 6] ? last : 0;
    while (lastKnown > 0 && coefficients[at + (ZIGZAG[lastKnown] as number)] === 0) lastKnown -= 1;
    for (let k = first; k <= last; k++) {
      let place = 3 * (k - 1);
      if (k > lastKnown && reader.decide(states, place) !== 0) break;
      for (;;) {
        const zigzag = at + (ZIGZAG[k] as number);
        const value = coefficients[zigzag] as number;
        if (value !== 0) {
          if (reader.decide(states, place + 2) !== 0) coefficients[zigzag] = value + (value < 0 ? -bit : bit);
          break;
        }
        if (reader.decide(states, place + 1) !== 0) {
          coefficients[zigzag] = reader.decide(this.even) !== 0 ? -bit : bit;
          hasNew = true;
          break;
        }
        place += 3;
        k += 1;
        if (k > last) {
          this.isBroken = true;
          return hasNew;
        }
      }
    }
    return hasNew;
  }
}
