/**
 * A JPEG decoder that gives libjpeg-turbo's pixels to the bit, as Pillow reads them: sequential, progressive and
 * lossless, Huffman and arithmetic codes, any sampling, one, three or four components.
 *
 * What damaged data does is libjpeg's doing too: the rest of a segment that ends early is grey, a lost restart is
 * looked for, a file that ends before its picture does is refused. All loops are bounded by the size of the picture,
 * by that of the file, and by the budget of scans.
 *
 * It follows libjpeg-turbo 3.1, and so is based in part on the work of the Independent JPEG Group.
 */

import { Unreadable } from "../unreadable.ts";
import { ArithmeticDecoder } from "./arithmetic.ts";
import { type ColourSpace, writeRgb } from "./colour.ts";
import type { EntropyDecoder } from "./entropy.ts";
import { checkProgression, type Frame, keepQuantization, type Scan } from "./frame.ts";
import { SequentialHuffman } from "./huffman.ts";
import { transformBlock, writeFlatBlock } from "./idct.ts";
import { decodeLosslessScan } from "./lossless.ts";
import { type Coefficients, createCoefficients, createPlane, type Plane } from "./planes.ts";
import { progressiveHuffman } from "./progressive.ts";
import { blocksOf, walkScan } from "./scan.ts";
import { SegmentReader } from "./segments.ts";
import {
  needsSmoothing,
  notePrecision,
  type Precision,
  transformSmoothly,
  unknownPrecision,
} from "./smoothing.ts";
import { EndOfData } from "./stream.ts";
import { addStandardCodes } from "./tables.ts";
import { rowReader } from "./upsample.ts";

/**
 * How many blocks the scans may bring: so many passes over the picture, and more the longer the file is. Files of use
 * need half of it; without a limit a short file could ask for any number of passes over a large, empty picture.
 */
const PASSES = { sequential: 16, progressive: 16, lossless: 2 };
const FREE_BLOCKS = 1_000_000;
const BLOCKS_PER_BYTE = 64;
/** What follows the only scan counts as far as Pillow has read the file by then, which it does in such pieces. */
const PIECE = 65536;

interface Components {
  readonly width: number;
  readonly height: number;
  readonly space: ColourSpace;
  /** The samples of one component in row y, as many as the picture is wide. */
  readonly rows: readonly ((y: number) => Uint8ClampedArray)[];
}

/**
 * RGB, u8 [height, width, 3].
 *
 * @throws Unreadable for a file that is truncated, corrupt or of a kind that Pillow does not read
 */
export function decodeJpeg(bytes: Uint8Array): Uint8Array {
  return rgbOf(decodeComponents(bytes));
}

/** As above, but shades of grey and CMYK as they are stored: u8 [height, width, 1 or 4]. */
export function decodeJpegSamples(bytes: Uint8Array): Uint8Array {
  const components = decodeComponents(bytes);
  const { width, height, space, rows } = components;
  if (space !== "grey" && space !== "cmyk") return rgbOf(components);
  const data = new Uint8Array(width * height * rows.length);
  for (let y = 0; y < height; y++) {
    rows.forEach((row, component) => {
      const samples = row(y);
      let to = y * width * rows.length + component;
      for (let x = 0; x < width; x++, to += rows.length) data[to] = samples[x] as number;
    });
  }
  return data;
}

function rgbOf({ width, height, space, rows }: Components): Uint8Array {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const samples = rows.map((row) => row(y));
    writeRgb(space, samples, width, data, y * width * 3);
  }
  return data;
}

function decodeComponents(bytes: Uint8Array): Components {
  const reader = new SegmentReader(bytes);
  const scan = reader.nextScan();
  const { frame } = reader;
  if (!scan || !frame) throw new Unreadable("there is no picture");
  const space = reader.colourSpace(frame);
  const planes = frame.components.map((component) => createPlane(component, frame));
  const rows = planes.map((plane) => rowReader(plane, frame));
  if (frame.process === "sequential" && frame.coding === "huffman") addStandardCodes(reader.tables);
  if (frame.process === "lossless") readLossless(reader, frame, scan, planes);
  else if (frame.process === "progressive" || scan.components.length < planes.length)
    readScans(reader, frame, scan, planes);
  else readOnlyScan(reader, frame, scan, planes);
  return { width: frame.width, height: frame.height, space, rows };
}

/** Transforms each block as it comes. */
function readOnlyScan(reader: SegmentReader, frame: Frame, scan: Scan, planes: readonly Plane[]): void {
  const decoder = openScan(reader, frame, scan);
  const block = new Int16Array(64);
  walkScan(scan, frame, reader.restartInterval, decoder, (index, column, row) => {
    const hasAc = decoder.decodeBlock(index, block, 0);
    const plane = planes[index] as Plane;
    if (column < plane.component.blocksAcross && row < plane.component.blocksDown) {
      writeBlock(plane, column, row, block, 0, hasAc);
    }
    if (hasAc) block.fill(0);
    else block[0] = 0;
  });
  expectEnd(reader);
}

/** Of a file of one scan, behind it. */
function expectEnd(reader: SegmentReader): void {
  const { stream } = reader;
  stream.end = Math.min(stream.end, Math.ceil(stream.position / PIECE) * PIECE);
  try {
    if (reader.nextScan()) throw new Unreadable("there is a scan too many");
  } catch (error) {
    // All of the picture is there.
    if (!(error instanceof EndOfData)) throw error;
  }
}

/** Collects the coefficients of all scans, then transforms them. */
function readScans(reader: SegmentReader, frame: Frame, first: Scan, planes: readonly Plane[]): void {
  const isProgressive = frame.process === "progressive";
  const coefficients = frame.components.map(createCoefficients);
  const precisions = frame.components.map(unknownPrecision);
  const spend = scanBudget(reader, frame);
  let scans = 0;
  let lastGoodRow = 0;
  for (let scan: Scan | undefined = first; scan; scan = reader.nextScan()) {
    scans += 1;
    spend(scan);
    const places = scan.components.map(({ component }) => frame.components.indexOf(component));
    const own = places.map((place) => coefficients[place] as Coefficients);
    const decoder = openScan(reader, frame, scan, own[0]?.hasAc);
    for (const place of isProgressive ? places : []) {
      notePrecision(precisions[place] as Precision, scan, scans === 1);
    }
    const widths = scan.components.map(({ component }) => component.paddedAcross);
    lastGoodRow = walkScan(scan, frame, reader.restartInterval, decoder, (index, column, row) => {
      const { values, hasAc } = own[index] as Coefficients;
      const block = row * (widths[index] as number) + column;
      if (decoder.decodeBlock(index, values, block * 64)) hasAc[block] = 1;
    });
  }
  // What was known before the only scan is nothing.
  if (scans === 1) for (const { before } of precisions) before.fill(-1);
  const isSmoothed = isProgressive && needsSmoothing(frame, precisions);
  planes.forEach((plane, i) => {
    const own = coefficients[i] as Coefficients;
    if (isSmoothed) transformSmoothly(plane, own, frame, precisions[i] as Precision, lastGoodRow);
    else if (plane.component.quantization) transformAll(plane, own);
  });
}

function readLossless(reader: SegmentReader, frame: Frame, first: Scan, planes: readonly Plane[]): void {
  const isOnlyScan = first.components.length === planes.length;
  const missing = new Set(frame.components);
  const spend = scanBudget(reader, frame);
  for (let scan: Scan | undefined = first; scan; scan = isOnlyScan ? undefined : reader.nextScan()) {
    spend(scan);
    const own = scan.components.map(({ component }) => planes[frame.components.indexOf(component)] as Plane);
    decodeLosslessScan(reader.stream, scan, frame, reader.tables, reader.restartInterval, own);
    for (const { component } of scan.components) missing.delete(component);
  }
  if (missing.size > 0) throw new Unreadable("a component of the lossless picture is missing");
  if (isOnlyScan) expectEnd(reader);
}

/** Takes a scan's blocks from what the file may bring. */
function scanBudget({ stream }: SegmentReader, frame: Frame): (scan: Scan) => void {
  const blocks = frame.components.reduce((sum, c) => sum + c.blocksAcross * c.blocksDown, 0);
  let left = PASSES[frame.process] * blocks + FREE_BLOCKS + BLOCKS_PER_BYTE * stream.end;
  let scans = 0;
  return (scan) => {
    scans += 1;
    left -= blocksOf(scan, frame);
    if (left < 0) throw new Unreadable(`${scans} scans over a picture of this size are too many`);
  };
}

function openScan(reader: SegmentReader, frame: Frame, scan: Scan, hasAc?: Uint8Array): EntropyDecoder {
  const { stream, tables } = reader;
  keepQuantization(scan, tables);
  const isProgressive = frame.process === "progressive";
  if (isProgressive) checkProgression(scan);
  if (frame.coding === "arithmetic") return new ArithmeticDecoder(stream, scan, tables, isProgressive, hasAc);
  if (!isProgressive) return new SequentialHuffman(stream, scan, tables);
  return progressiveHuffman(stream, scan, tables, hasAc as Uint8Array);
}

function transformAll(plane: Plane, { values, hasAc }: Coefficients): void {
  const { blocksAcross, blocksDown, paddedAcross } = plane.component;
  for (let row = 0; row < blocksDown; row++) {
    for (let column = 0; column < blocksAcross; column++) {
      const block = row * paddedAcross + column;
      writeBlock(plane, column, row, values, block * 64, hasAc[block] === 1);
    }
  }
}

function writeBlock(
  { samples, stride, component: { quantization } }: Plane,
  column: number,
  row: number,
  coefficients: Int16Array,
  at: number,
  hasAc: boolean,
): void {
  const to = row * 8 * stride + column * 8;
  const table = quantization as Uint16Array;
  if (hasAc) transformBlock(coefficients, at, table, samples, to, stride);
  else writeFlatBlock(coefficients[at] as number, table, samples, to, stride);
}
