/** The first directory of a TIFF file: its tags and their values. */

import { viewOf } from "../bytes.ts";

export interface TiffDirectory {
  readonly littleEndian: boolean;
  /** The values of a tag, empty when the file has none; whole numbers alone, and MOST_VALUES at most. */
  numbers(tag: number): readonly number[];
  /** A tag of bytes. */
  bytes(tag: number): Uint8Array | undefined;
}

interface Entry {
  readonly type: number;
  readonly count: number;
  readonly at: number;
}

/** Tiles of 64 x 64, and strips of a row, of a picture of a hundred million pixels are fewer. */
export const MOST_VALUES = 2 ** 17;

export type Read = (view: DataView, at: number, littleEndian: boolean) => number;

/** Bytes of a value by its type. */
export const VALUE_BYTES: Readonly<Record<number, number>> = {
  1: 1,
  2: 1,
  3: 2,
  4: 4,
  5: 8,
  6: 1,
  7: 1,
  8: 2,
  9: 4,
  10: 8,
  11: 4,
  12: 8,
  13: 4,
  16: 8,
};
/** Types of whole numbers. */
const READ: Readonly<Record<number, Read>> = {
  1: (view, at) => view.getUint8(at),
  3: (view, at, little) => view.getUint16(at, little),
  4: (view, at, little) => view.getUint32(at, little),
  8: (view, at, little) => view.getInt16(at, little),
  9: (view, at, little) => view.getInt32(at, little),
  13: (view, at, little) => view.getUint32(at, little),
  16: readUint64,
};

/** @throws RangeError for a file that ends before its directory */
export function tiffDirectory(bytes: Uint8Array): TiffDirectory {
  const view = viewOf(bytes);
  const littleEndian = bytes[0] === 0x49;
  const isBig = bytes[2] === 43 || bytes[3] === 43;
  const entries = new Map<number, Entry>();
  const start = isBig ? readUint64(view, 8, littleEndian) : view.getUint32(4, littleEndian);
  const count = isBig ? readUint64(view, start, littleEndian) : view.getUint16(start, littleEndian);
  const [first, step, most] = isBig ? [start + 8, 20, 8] : [start + 2, 12, 4];
  for (let i = 0, at = first; i < count && at + step <= bytes.length; i++, at += step) {
    const type = view.getUint16(at + 2, littleEndian);
    const values = isBig ? readUint64(view, at + 4, littleEndian) : view.getUint32(at + 4, littleEndian);
    const size = (VALUE_BYTES[type] ?? 0) * values;
    if (size === 0) continue;
    const inline = at + step - most;
    const place = isBig ? readUint64(view, inline, littleEndian) : view.getUint32(inline, littleEndian);
    const found = size > most ? place : inline;
    // Nothing behind values that lie outside the file is believed, as in Pillow.
    if (found + size > bytes.length) break;
    entries.set(view.getUint16(at, littleEndian), { type, count: values, at: found });
  }
  return {
    littleEndian,
    numbers(tag) {
      const entry = entries.get(tag);
      const read = entry && READ[entry.type];
      const size = entry && VALUE_BYTES[entry.type];
      if (!read || !size) return [];
      const length = Math.min(entry.count, MOST_VALUES);
      return Array.from({ length }, (_, i) => read(view, entry.at + i * size, littleEndian));
    },
    bytes(tag) {
      const entry = entries.get(tag);
      return entry && bytes.subarray(entry.at, entry.at + entry.count * (VALUE_BYTES[entry.type] as number));
    },
  };
}

/** Beyond 2^53 nothing lies in a file. */
function readUint64(view: DataView, at: number, littleEndian: boolean): number {
  return Number(view.getBigUint64(at, littleEndian));
}
