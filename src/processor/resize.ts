/** Antialiased bicubic resize of RGB bytes, equal to torchvision's or Pillow's in every byte. */

import { GlimtError } from "../errors.ts";
import { PixelArena } from "./pixels-module.ts";
import { type ResampleWeights, type Rounding, resampleWeights } from "./resample-weights.ts";

export interface ResizeOptions {
  /** Whose integer arithmetic to follow; they differ by up to two levels. Default "torchvision". */
  readonly rounding?: Rounding;
}

const CHANNELS = 3;
/** Source rows that cross into the WebAssembly memory at a time. */
const CHUNK_ROWS = 16;

/**
 * Resizes a picture: horizontal pass, rounding to bytes, vertical pass. Rows stream through a ring that holds what
 * one output row needs, so the working memory is a few dozen rows, whatever the picture's height.
 *
 * @param rgb u8 [height, width, 3].
 * @returns u8 [outHeight, outWidth, 3]; a copy when the size does not change.
 * @throws INPUT_INVALID when the sizes are no positive integers or do not fit the data.
 */
export function resizeBicubic(
  rgb: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  outWidth: number,
  outHeight: number,
  options: ResizeOptions = {},
): Uint8Array {
  const rounding = options.rounding ?? "torchvision";
  checkArguments(rgb, { width, height, outWidth, outHeight }, rounding);
  const source = new Uint8Array(rgb.buffer, rgb.byteOffset, rgb.byteLength);
  if (width === outWidth && height === outHeight) return source.slice();

  const arena = new PixelArena();
  const columns = height === outHeight ? undefined : resampleWeights(height, outHeight, rounding);
  const ringRows = CHUNK_ROWS + (columns ? maxOf(columns.counts) : 0);
  const rows = rowPass(arena, source, width, outWidth, ringRows, rounding);
  const out = new Uint8Array(outWidth * outHeight * CHANNELS);
  const rowBytes = outWidth * CHANNELS;

  if (columns) {
    const weightsPtr = arena.place(columns.weights);
    const rowPtr = arena.allocate(rowBytes);
    let loaded = 0;
    for (let y = 0; y < outHeight; y++) {
      const first = columns.starts[y] as number;
      const count = columns.counts[y] as number;
      for (; loaded < first + count; loaded = Math.min(loaded + CHUNK_ROWS, height)) {
        rows.load(loaded, Math.min(CHUNK_ROWS, height - loaded));
      }
      const weights = weightsPtr + y * columns.taps * Int32Array.BYTES_PER_ELEMENT;
      arena.kernels.resampleColumns(
        ...([rows.ringPtr, ringRows, rowBytes, first, count, weights, columns.precision, rowPtr] as const),
      );
      out.set(arena.bytes(rowPtr, rowBytes), y * rowBytes);
    }
  } else {
    for (let y = 0; y < height; y += ringRows) {
      const count = Math.min(ringRows, height - y);
      rows.load(y, count);
      out.set(arena.bytes(rows.ringPtr, count * rowBytes), y * rowBytes);
    }
  }
  return out;
}

/** Brings source rows through the horizontal pass into a ring: row r lies in slot r % ringRows. */
function rowPass(
  arena: PixelArena,
  source: Uint8Array,
  width: number,
  outWidth: number,
  ringRows: number,
  rounding: Rounding,
): { ringPtr: number; load(firstRow: number, rows: number): void } {
  const ringPtr = arena.allocate(ringRows * outWidth * CHANNELS);
  const inBytes = width * CHANNELS;
  if (width === outWidth) {
    const load = (firstRow: number, rows: number) => {
      for (let row = firstRow; row < firstRow + rows; row++) {
        const slot = arena.bytes(ringPtr + (row % ringRows) * inBytes, inBytes);
        slot.set(source.subarray(row * inBytes, (row + 1) * inBytes));
      }
    };
    return { ringPtr, load };
  }

  const { starts, counts, weights, taps, precision }: ResampleWeights = resampleWeights(
    width,
    outWidth,
    rounding,
  );
  const tables = [arena.place(starts), arena.place(counts), arena.place(weights), taps, precision] as const;
  const inPtr = arena.allocate(ringRows * inBytes);
  const load = (firstRow: number, rows: number) => {
    arena.bytes(inPtr, rows * inBytes).set(source.subarray(firstRow * inBytes, (firstRow + rows) * inBytes));
    arena.kernels.resampleRows(inPtr, width, firstRow, rows, ...tables, ringPtr, ringRows, outWidth);
  };
  return { ringPtr, load };
}

function maxOf(values: Int32Array): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

function checkArguments(rgb: unknown, sizes: Record<string, number>, rounding: string): void {
  if (!(rgb instanceof Uint8Array || rgb instanceof Uint8ClampedArray)) {
    throw new GlimtError("INPUT_INVALID", "Pixels must be a Uint8Array or a Uint8ClampedArray, RGB.");
  }
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isInteger(size) || size < 1) {
      throw new GlimtError("INPUT_INVALID", `${name} is ${size}; it must be a positive integer.`);
    }
  }
  const expected = (sizes.width as number) * (sizes.height as number) * CHANNELS;
  if (rgb.length !== expected) {
    throw new GlimtError(
      "INPUT_INVALID",
      `${sizes.width} x ${sizes.height} RGB pixels are ${expected} bytes, but ${rgb.length} were given.`,
    );
  }
  if (rounding !== "torchvision" && rounding !== "pillow") {
    throw new GlimtError(
      "OPTION_INVALID",
      `rounding is "${rounding}"; it must be "torchvision" or "pillow".`,
    );
  }
}
