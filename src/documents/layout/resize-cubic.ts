/** Bicubic interpolation without smoothing, as OpenCV and torchvision (antialias off) resize what layout models read. */

import { turnWhenDue } from "../../event-loop.ts";

const SHARPNESS = -0.75;
const CHANNELS = 3;
const TAPS = 4;

/**
 * @param rgb u8 [height, width, 3]
 * @returns f32 [3, size, size], values of 0 to 1 in steps of 1/255
 */
export async function resizedPlanes(
  rgb: Uint8Array,
  width: number,
  height: number,
  size: number,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const across = taps(width, size);
  const down = taps(height, size);
  const planes = new Float32Array(CHANNELS * size * size);
  const row = new Float32Array(width * CHANNELS);
  for (let y = 0; y < size; y++) {
    await turnWhenDue(signal);
    row.fill(0);
    for (let tap = 0; tap < TAPS; tap++) {
      const weight = down.weights[y * TAPS + tap] as number;
      const from = (down.places[y * TAPS + tap] as number) * width * CHANNELS;
      for (let at = 0; at < row.length; at++) row[at]! += weight * (rgb[from + at] as number);
    }
    for (let x = 0; x < size; x++) {
      for (let channel = 0; channel < CHANNELS; channel++) {
        let sum = 0;
        for (let tap = 0; tap < TAPS; tap++) {
          const from = (across.places[x * TAPS + tap] as number) * CHANNELS + channel;
          sum += (across.weights[x * TAPS + tap] as number) * (row[from] as number);
        }
        planes[(channel * size + y) * size + x] = Math.min(255, Math.max(0, Math.round(sum))) / 255;
      }
    }
  }
  return planes;
}

/** For each new place the four old ones around it, those beyond the edge being the edge, and their weights. */
function taps(from: number, to: number): { readonly places: Int32Array; readonly weights: Float64Array } {
  const places = new Int32Array(to * TAPS);
  const weights = new Float64Array(to * TAPS);
  for (let at = 0; at < to; at++) {
    const centre = ((at + 0.5) * from) / to - 0.5;
    const first = Math.floor(centre);
    for (let tap = 0; tap < TAPS; tap++) {
      const place = first - 1 + tap;
      places[at * TAPS + tap] = Math.min(from - 1, Math.max(0, place));
      weights[at * TAPS + tap] = cubic(Math.abs(centre - place));
    }
  }
  return { places, weights };
}

function cubic(x: number): number {
  if (x <= 1) return ((SHARPNESS + 2) * x - (SHARPNESS + 3)) * x * x + 1;
  if (x < 2) return ((SHARPNESS * x - 5 * SHARPNESS) * x + 8 * SHARPNESS) * x - 4 * SHARPNESS;
  return 0;
}
