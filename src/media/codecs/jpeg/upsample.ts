/** Rows of samples at the picture's full width, as libjpeg's "fancy" upsampling makes them. */

import { Unreadable } from "../unreadable.ts";
import type { Frame } from "./frame.ts";
import type { Plane } from "./planes.ts";

/** Gives row y of a component; the array holds until the next call. */
export type RowReader = (y: number) => Uint8ClampedArray;

/**
 * Half resolution across, down or both is interpolated (weights 3/4 and 1/4, rounded up and down in turns); other
 * ratios, very narrow pictures and lossless ones repeat samples.
 */
export function rowReader(plane: Plane, frame: Frame): RowReader {
  const { component, samples, stride } = plane;
  const across = frame.across / component.across;
  const down = frame.down / component.down;
  if (!Number.isInteger(across) || !Number.isInteger(down)) {
    throw new Unreadable("sampling factors that do not divide each other are not supported");
  }
  const row = (y: number) => {
    const start = Math.max(0, Math.min(component.height - 1, y)) * stride;
    return samples.subarray(start, start + stride);
  };
  if (across === 1 && down === 1) return row;
  const interpolates = frame.process !== "lossless";
  const out = new Uint8ClampedArray(component.width * across);
  /** The row beside y that is nearer to the output row. */
  const beside = (y: number) => row((y >> 1) + (y % 2 === 0 ? -1 : 1));
  if (interpolates && across === 1 && down === 2) {
    return (y) => interpolateDown(row(y >> 1), beside(y), y % 2 === 0 ? 1 : 2, out);
  }
  if (interpolates && across === 2 && component.width > 2) {
    if (down === 1) return (y) => interpolateAcross(row(y), component.width, out);
    if (down === 2) return (y) => interpolateBoth(row(y >> 1), beside(y), component.width, out);
  }
  return (y) => repeat(row(Math.floor(y / down)), component.width, across, out);
}

function repeat(row: Uint8ClampedArray, width: number, across: number, out: Uint8ClampedArray) {
  for (let x = 0; x < width; x++) out.fill(row[x] as number, x * across, (x + 1) * across);
  return out;
}

function interpolateDown(
  near: Uint8ClampedArray,
  far: Uint8ClampedArray,
  bias: number,
  out: Uint8ClampedArray,
) {
  for (let x = 0; x < out.length; x++) out[x] = ((near[x] as number) * 3 + (far[x] as number) + bias) >> 2;
  return out;
}

function interpolateAcross(row: Uint8ClampedArray, width: number, out: Uint8ClampedArray) {
  let left = row[0] as number;
  let here = left;
  for (let x = 0; x < width; x++) {
    const right = x + 1 < width ? (row[x + 1] as number) : here;
    out[2 * x] = (here * 3 + left + 1) >> 2;
    out[2 * x + 1] = (here * 3 + right + 2) >> 2;
    left = here;
    here = right;
  }
  return out;
}

function interpolateBoth(
  near: Uint8ClampedArray,
  far: Uint8ClampedArray,
  width: number,
  out: Uint8ClampedArray,
) {
  let left = (near[0] as number) * 3 + (far[0] as number);
  let here = left;
  for (let x = 0; x < width; x++) {
    const right = x + 1 < width ? (near[x + 1] as number) * 3 + (far[x + 1] as number) : here;
    out[2 * x] = (here * 3 + left + 8) >> 4;
    out[2 * x + 1] = (here * 3 + right + 7) >> 4;
    left = here;
    here = right;
  }
  return out;
}
