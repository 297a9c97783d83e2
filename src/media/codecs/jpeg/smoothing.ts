/**
 * Smoothing of progressive pictures whose scans end early: the first AC coefficients that are not exactly known are
 * estimated from the DC values of the 5 x 5 blocks around, as libjpeg-turbo does.
 */

import type { Component, Frame, Scan } from "./frame.ts";
import { transformBlock, writeFlatBlock } from "./idct.ts";
import type { Coefficients, Plane } from "./planes.ts";
import { ZIGZAG } from "./tables.ts";

/** DC and the nine AC coefficients that are estimated, in zigzag order. */
const ESTIMATED = 10;

/** How many bits below those known each coefficient of a component lacks: -1 when nothing is known, 0 all known. */
export interface Precision {
  readonly bits: Int8Array;
  /** The same before the last scan of the component. */
  readonly before: Int8Array;
}

export function unknownPrecision(): Precision {
  return { bits: new Int8Array(64).fill(-1), before: new Int8Array(64) };
}

/** Notes what a scan brings. */
export function notePrecision(
  { bits, before }: Precision,
  { first, last, low }: Scan,
  isFirstScan: boolean,
): void {
  for (let k = Math.min(first, 1); k <= Math.max(last, ESTIMATED - 1); k++) {
    before[k] = isFirstScan ? 0 : (bits[k] as number);
  }
  bits.fill(low, first, last + 1);
}

/** Whether there is something to estimate, and all that it is estimated from. */
export function needsSmoothing(frame: Frame, precisions: readonly Precision[]): boolean {
  const isSafe = frame.components.every(({ quantization }, i) => {
    const quantizers = [...ZIGZAG.subarray(0, ESTIMATED)].map((place) => quantization?.[place] ?? 0);
    return quantizers.every((value) => value !== 0) && (precisions[i]?.bits[0] ?? -1) >= 0;
  });
  return (
    isSafe && precisions.some(({ bits }) => bits.subarray(1, ESTIMATED).some((lacking) => lacking !== 0))
  );
}

/**
 * Weights of the 25 DC values, by rows, for each coefficient of the zigzag order: where no AC coefficient at all is
 * known, and where some are. DC itself is changed in the first case alone, and so are the last four.
 */
const WITHOUT_AC: readonly Int32Array[] = [
  [-2, -6, -8, -6, -2, -6, 6, 42, 6, -6, -8, 42, 152, 42, -8, -6, 6, 42, 6, -6, -2, -6, -8, -6, -2],
  [-1, -1, 0, 1, 1, -3, 13, 0, -13, 3, -3, 38, 0, -38, 3, -3, 13, 0, -13, 3, -1, -1, 0, 1, 1],
  [-1, -3, -3, -3, -1, -1, 13, 38, 13, -1, 0, 0, 0, 0, 0, 1, -13, -38, -13, 1, 1, 3, 3, 3, 1],
  [0, 0, 1, 0, 0, 0, 2, 7, 2, 0, 0, -5, -14, -5, 0, 0, 2, 7, 2, 0, 0, 0, 1, 0, 0],
  [-1, 0, 0, 0, 1, 0, 9, 0, -9, 0, 0, 0, 0, 0, 0, 0, -9, 0, 9, 0, 1, 0, 0, 0, -1],
  [0, 0, 0, 0, 0, 0, 2, -5, 2, 0, 1, 7, -14, 7, 1, 0, 2, -5, 2, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 1, 0, -1, 0, 0, 2, 0, -2, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 1, -3, 1, 0, 0, 0, 0, 0, 0, 0, -1, 3, -1, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 1, 0, -1, 0, 0, -3, 0, 3, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, -1, -2, -1, 0, 0, 0, 0, 0, 0],
].map((weights) => Int32Array.from(weights));
const WITH_AC: readonly Int32Array[] = [
  [],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -7, 50, 0, -50, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, -7, 0, 0, 0, 0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, -50, 0, 0, 0, 0, 7, 0, 0],
  [0, 0, -1, 0, 0, 0, 0, 13, 0, 0, 0, 0, -24, 0, 0, 0, 0, 13, 0, 0, 0, 0, -1, 0, 0],
  [0, -1, 0, 1, 0, -1, 10, 0, -10, 1, 0, 0, 0, 0, 0, 1, -10, 0, 10, -1, 0, 1, 0, -1, 0],
  [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, 13, -24, 13, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
].map((weights) => Int32Array.from(weights));

/** Transforms all blocks of a component into its plane, with estimates. @param lastGoodRow of MCUs */
export function transformSmoothly(
  { samples, stride, component }: Plane,
  { values, hasAc }: Coefficients,
  frame: Frame,
  precision: Precision,
  lastGoodRow: number,
): void {
  const { blocksAcross, paddedAcross } = component;
  const quantization = component.quantization as Uint16Array;
  const block = new Int16Array(64);
  const around = new Int32Array(25);
  for (let row = 0; row < component.blocksDown; row++) {
    const mcuRow = Math.floor(row / component.down);
    // Below the last row that the last scan reached counts what was known before it.
    const lacking = mcuRow > lastGoodRow ? precision.before : precision.bits;
    const weights = lacking.subarray(1, ESTIMATED).every((bits) => bits === -1) ? WITHOUT_AC : WITH_AC;
    const starts = rowsAround(row, component, frame).map((y) => y * paddedAcross);
    const moveTo = (column: number) => {
      const x = Math.max(0, Math.min(blocksAcross - 1, column));
      around.copyWithin(0, 1);
      for (let y = 0; y < 5; y++) around[y * 5 + 4] = values[((starts[y] as number) + x) * 64] as number;
    };
    for (let column = -2; column < 2; column++) moveTo(column);
    for (let column = 0; column < blocksAcross; column++) {
      moveTo(column + 2);
      const at = row * paddedAcross + column;
      const to = row * 8 * stride + column * 8;
      const isEven = isUniform(around);
      if (isEven && hasAc[at] === 0) {
        // The estimates would be zeros.
        writeFlatBlock(around[0] as number, quantization, samples, to, stride);
        continue;
      }
      block.set(values.subarray(at * 64, at * 64 + 64));
      if (!isEven) estimate(block, around, weights, lacking, quantization);
      transformBlock(block, 0, quantization, samples, to, stride);
    }
  }
}

function isUniform(values: Int32Array): boolean {
  for (let i = 1; i < values.length; i++) {
    if (values[i] !== values[0]) return false;
  }
  return true;
}

/** The block rows from two above to two below. Near the edges it is libjpeg's choice of neighbours. */
function rowsAround(row: number, component: Component, { mcusDown }: Frame): number[] {
  const mcuRow = Math.floor(row / component.down);
  const isLast = mcuRow === mcusDown - 1;
  const rowsInMcu = isLast ? component.blocksDown % component.down || component.down : component.down;
  // As if all MCUs had as many rows as this one.
  const place = mcuRow * rowsInMcu + (row % component.down);
  const places = mcusDown * rowsInMcu;
  const above = place > 0 ? row - 1 : row;
  const below = place < places - 1 ? row + 1 : row;
  return [place > 1 ? row - 2 : above, above, row, below, place < places - 2 ? row + 2 : below];
}

/** @param around i32 [5, 5]: the DC values of the blocks around, not dequantized */
function estimate(
  block: Int16Array,
  around: Int32Array,
  weights: readonly Int32Array[],
  lacking: Int8Array,
  quantization: Uint16Array,
): void {
  for (let k = weights.length - 1; k >= 0; k--) {
    const place = ZIGZAG[k] as number;
    const bits = lacking[k] as number;
    const kernel = weights[k] as Int32Array;
    // DC has no kernel where it stays; the others are estimated while they are zero and not known to be.
    if (k === 0 ? kernel.length === 0 : bits === 0 || block[place] !== 0) continue;
    let sum = 0;
    for (let i = 0; i < 25; i++) sum += (kernel[i] as number) * (around[i] as number);
    const quantizer = quantization[place] as number;
    const size = Math.abs(sum * (quantization[0] as number));
    let value = Math.floor((quantizer * 128 + size) / (quantizer * 256));
    if (k > 0 && bits > 0) value = Math.min(value, (1 << bits) - 1);
    block[place] = sum < 0 ? -value : value;
  }
}
