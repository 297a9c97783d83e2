/** Lossless scans: Huffman-coded differences from a prediction, sample by sample. */

import { Unreadable } from "../unreadable.ts";
import type { Component, Frame, Scan } from "./frame.ts";
import { BitReader, extend, type HuffmanTable, huffmanTable } from "./huffman.ts";
import { GREY, type Plane } from "./planes.ts";
import type { JpegStream } from "./stream.ts";
import type { Tables } from "./tables.ts";

const PRECISION = 8;
/** A difference of this size has no bits of its own. */
const WHOLE_TURN = 16;

/** A component while one row of MCUs after the other is decoded. */
interface Row {
  readonly plane: Plane;
  readonly table: HuffmanTable;
  /** i32 [down, paddedAcross]: differences of one row of MCUs. */
  readonly differences: Int32Array;
  /** i32 [paddedAcross]: the samples of the line above, not yet shifted. */
  readonly above: Int32Array;
  /** The next line is the first of a segment. */
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
  const [only] = scan.components.length === 1 ? scan.components : [];
  const columns = only ? only.component.blocksAcross : frame.mcusAcross;
  if (restartInterval % columns !== 0) throw new Unreadable("restarts lie within a row of lossless samples");

  const reader = new BitReader(stream);
  let isExhausted = false;
  let untilRestart = restartInterval;
  let nextRestart = 0;
  for (let mcuRow = 0; mcuRow < frame.mcusDown; mcuRow++) {
    // Of one component come as many lines as an MCU of all components has. They are predicted when all are read.
    const lines = only ? linesIn(only.component, mcuRow) : 1;
    let isGrey = true;
    for (let line = 0; line < lines; line++) {
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
        for (const row of rows) skipDifferences(row, only ? line : undefined);
        continue;
      }
      readDifferences(reader, rows, columns, only ? line : undefined);
      isExhausted = reader.ranOut;
      isGrey = false;
    }
    for (const row of rows) writeRow(row, mcuRow, isGrey, predictor, shift);
  }
}

/** Lines of samples that a row of MCUs has of a component. */
function linesIn({ down, blocksDown }: Component, mcuRow: number): number {
  return Math.min(down, blocksDown - mcuRow * down);
}

/** @param only of a scan of one component the line to read */
function readDifferences(reader: BitReader, rows: readonly Row[], columns: number, only?: number): void {
  for (let column = 0; column < columns; column++) {
    for (const { plane, table, differences } of rows) {
      const { component } = plane;
      const across = only === undefined ? component.across : 1;
      for (let y = only ?? 0; y < (only === undefined ? component.down : only + 1); y++) {
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

/** Where there is no data, prediction begins anew. @param only of a scan of one component the line to skip */
function skipDifferences(row: Row, only?: number): void {
  const { paddedAcross } = row.plane.component;
  if (only === undefined) row.differences.fill(0);
  else row.differences.fill(0, only * paddedAcross, (only + 1) * paddedAcross);
  row.isFirst = true;
}

/** Makes samples of one row of MCUs. @param isGrey there was no data for any of it */
function writeRow(row: Row, mcuRow: number, isGrey: boolean, predictor: number, shift: number): void {
  const { samples, stride, component } = row.plane;
  const start = mcuRow * component.down;
  const end = start + linesIn(component, mcuRow);
  if (isGrey) {
    samples.fill(GREY, start * stride, end * stride);
    return;
  }
  for (let y = start; y < end; y++) {
    addPredictions(row, (y - start) * component.paddedAcross, y, predictor, shift);
  }
}

/** Makes samples of one line's differences, from `at` on, and writes them to line y of the plane. */
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
