/** Weights as fp8 checkpoints have them, of any values: nothing else is rounded to fp8 here. */
import { E4M3, FP8_BLOCK_BYTES, FP8_COLS, FP8_SCALE_BYTES, LARGEST_E4M3 } from "../tensor/fp8.ts";

/** Codes 0..126 are the magnitudes in rising order; 127 is NaN. */
const LARGEST_CODE = 126;

/** Plain rows of whole blocks, the largest magnitude of each being the largest there is. */
export function fp8Rows(values: ArrayLike<number>): Uint8Array {
  const blocks = values.length / FP8_COLS;
  const bytes = new Uint8Array(blocks * FP8_BLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    const start = block * FP8_COLS;
    let largest = 0;
    for (let i = 0; i < FP8_COLS; i++) largest = Math.max(largest, Math.abs(values[start + i] as number));
    const scale = Math.fround(largest / LARGEST_E4M3) || 1;
    const at = block * FP8_BLOCK_BYTES;
    view.setFloat32(at, scale, true);
    for (let i = 0; i < FP8_COLS; i++) {
      bytes[at + FP8_SCALE_BYTES + i] = nearestCode((values[start + i] as number) / scale);
    }
  }
  return bytes;
}

function nearestCode(value: number): number {
  const magnitude = Math.abs(value);
  const at = (code: number) => E4M3[code] as number;
  let [low, high] = [0, LARGEST_CODE];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) <= magnitude) low = middle;
    else high = middle;
  }
  const code = magnitude - at(low) <= at(high) - magnitude ? low : high;
  return value < 0 ? code | 0x80 : code;
}
