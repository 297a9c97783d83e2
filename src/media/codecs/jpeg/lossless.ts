/** Lossless scans: Huffman-coded differences from a prediction, sample by sample. */

import { Unreadable } from "../unreadable.ts";
import type { Frame, Scan } from "./frame.ts";
import { BitReader, extend, type HuffmanTable, huffmanTable } from "./huffman.ts";
import type { Plane } from "./planes.ts";
import type { JpegStream } from "./stream.ts";
import type { Tables } from "./tables.ts";

const PRECISION = 8;
/** A difference of this size has no bits of its own. */
const WHOLE_TURN = 16;

interface Row {
  readonly plane: Plane;
  readonly table: HuffmanTable;
  /** i32 [down, paddedAcross]: differences of one row of MCUs; then its samples, not yet shifted. */
  readonly differences: Int32Array;
  /** i32 [paddedAcross]: the samples of the row above. */
  readonly above: Int32Array;
  /** The next row is the first of a segment. */
  isFirst: boolean;
}

/** Decodes a scan into the planes of its components, in the order of the scan. */
export function decodeLosslessScan(
  stream: JpegStream,
  scan: Scan,
  frame: Frame,
  tables: Tables,
  restartInterval: number,
  planes: readonly Plane[],
): void {
  const { first: predictor, low: shift } = scan;
  if (predictor < 1 || predictor > 7 || scan.last !== 0 || scan.high !== 0 || shift >= PRECISION) {
    throw new Unreadable("a lossless scan's parameters make no sense");
  }
  const rows = scan.components.map(({ component, dcIndex }, i): Row => {
    const table = huffmanTable(tables.dc[dcIndex], WHOLE_TURN);
    const differences = new Int32Array(component.down * component.paddedAcross);
    const above = new Int32Array(component.paddedAcross);
    return { plane: planes[i] as Plane, table, differences, above, isFirst: true };
  });
  const isAlone = rows.length === 1;
  const only = scan.components[0]?.component;
  const columns = isAlone && only ? only.blocksAcross : frame.mcusAcross;
  const mcuRows = isAlone && only ? only.blocksDown : frame.mcusDown;
  if (restartInterval % columns !== 0) throw new Unreadable("restarts lie within a row of lossless samples");

  const reader = new BitReader(stream);
  let isExhausted = false;
  let untilRestart = restartInterval;
  let nextRestart = 0;
  for (let mcuRow = 0; mcuRow < mcuRows; mcuRow++) {
    if (restartInterval > 0 && untilRestart === 0) {
      reader.reset();
      stream.passRestart(nextRestart);
      nextRestart = (nextRestart + 1) & 7;
      if (stream.marker === 0) isExhausted = false;
      for (const row of rows) row.isFirst = true;
      untilRestart = restartInterval;
    }
    untilRestart -= columns;
    if (isExhausted) {
      for (const row of rows) {
        row.differences.fill(0);
        row.isFirst = true;
      }
    } else {
      readDifferences(reader, rows, columns, isAlone);
      isExhausted = reader.ranOut;
    }
    for (const row of rows) {
      const { component } = row.plane;
      const down = isAlone ? 1 : component.down;
      for (let y = 0; y < down && mcuRow * down + y < component.blocksDown; y++) {
        addPredictions(row, y * component.paddedAcross, mcuRow * down + y, predictor, shift);
      }
    }
  }
}

function readDifferences(reader: BitReader, rows: readonly Row[], columns: number, isAlone: boolean): void {
  for (let column = 0; column < columns; column++) {
    for (const { plane, table, differences } of rows) {
      const { component } = plane;
      const across = isAlone ? 1 : component.across;
      const down = isAlone ? 1 : component.down;
      for (let y = 0; y < down; y++) {
        const start = y * component.paddedAcross + column * across;
        for (let x = 0; x < across; x++) {
          const size = reader.symbol(table);
          if (size === WHOLE_TURN) differences[start + x] = 32768;
          else differences[start + x] = size === 0 ? 0 : extend(reader.take(size), size);
        }
      }
    }
  }
}

/** Makes samples of one row's differences, from `at` on, and writes them to row y of the plane. */
function addPredictions(row: Row, at: number, y: number, predictor: number, shift: number): void {
  const { plane, differences, above } = row;
  const { component, samples, stride } = plane;
  const start = row.isFirst ? 1 << (PRECISION - shift - 1) : (above[0] as number);
  const kind = row.isFirst ? 1 : predictor;
  row.isFirst = false;
  let left = 0;
  let aboveLeft = 0;
  for (let x = 0; x < component.blocksAcross; x++) {
    const over = above[x] as number;
    const prediction = x === 0 ? start : predict(kind, left, over, aboveLeft);
    left = ((differences[at + x] as number) + prediction) & 0xffff;
    aboveLeft = over;
    above[x] = left;
    samples[y * stride + x] = (left << shift) & 255;
  }
}

function predict(kind: number, left: number, over: number, aboveLeft: number): number {
  switch (kind) {
    case 1:
      return left;
    case 2:
      return over;
    case 3:
      return aboveLeft;
    case 4:
      return left + over - aboveLeft;
    case 5:
      return left + ((over - aboveLeft) >> 1);
    case 6:
      return over + ((left - aboveLeft) >> 1);
    default:
      return (left + over) >> 1;
  }
}
