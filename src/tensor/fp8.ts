/**
 * Matrices of 8-bit floats (E4M3 without infinities) in blocks of 128 columns with a scale in float32: how fp8 checkpoints
 * are stored without loss, since a scale of a tensor, a row or a block of 128 x 128 is one of 128 columns of each row. In
 * plain layout a row is its blocks, each a scale and then its elements. An element is float32(e4m3 * scale).
 */
import { FORMATS, storageBytes } from "./storage.ts";

/** Columns of a block. */
export const FP8_COLS = FORMATS.fp8.group.cols;
export const FP8_SCALE_BYTES = 4;
export const FP8_BLOCK_BYTES = storageBytes("fp8", 1, FP8_COLS);

/** Bias 7, the largest 448, subnormals in eighths of 2^-6; by its byte. */
export const E4M3: Float32Array = Float32Array.from({ length: 256 }, (_, code) => {
  const sign = code & 0x80 ? -1 : 1;
  const exponent = (code >> 3) & 15;
  const fraction = code & 7;
  if ((code & 0x7f) === 0x7f) return Number.NaN;
  return sign * (exponent === 0 ? fraction / 8 : 1 + fraction / 8) * 2 ** (Math.max(exponent, 1) - 7);
});

export const LARGEST_E4M3 = 448;

/** into[at + i] = element first + i of plain `bytes`, counted row by row, i in 0..count. */
export function widenFp8(
  bytes: Uint8Array,
  first: number,
  count: number,
  into: Float32Array,
  at: number,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let done = 0; done < count; ) {
    const block = Math.floor((first + done) / FP8_COLS);
    const from = (first + done) % FP8_COLS;
    const some = Math.min(FP8_COLS - from, count - done);
    const start = block * FP8_BLOCK_BYTES;
    const scale = view.getFloat32(start, true);
    const elements = start + FP8_SCALE_BYTES + from;
    for (let i = 0; i < some; i++) {
      into[at + done + i] = (E4M3[bytes[elements + i] as number] as number) * scale;
    }
    done += some;
  }
}

/**
 * How many elements of plain `bytes` are NaN or infinite; of a block whose scale is, or would make the largest element so,
 * all.
 */
export function countNotFiniteFp8(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 0;
  for (let start = 0; start < bytes.length; start += FP8_BLOCK_BYTES) {
    if (!Number.isFinite(Math.fround(view.getFloat32(start, true) * LARGEST_E4M3))) {
      count += FP8_COLS;
      continue;
    }
    const from = start + FP8_SCALE_BYTES;
    for (let i = from; i < from + FP8_COLS; i++) if (((bytes[i] as number) & 0x7f) === 0x7f) count++;
  }
  return count;
}
