/** Antialiased bicubic resize of RGB bytes, equal to torchvision's or Pillow's in every byte. */

import { GlimtError } from "../errors.ts";
import { readOptions, shown } from "../given.ts";
import { newBytes } from "../media/memory.ts";
import { PixelArena } from "./pixels-module.ts";
import { type ResampleWeights, type Rounding, resampleWeights } from "./resample-weights.ts";

/** How pixels are rounded. */
export interface ResizeOptions {
  /** Whose integer arithmetic to follow; they differ by up to two levels. Default "torchvision". */
  readonly rounding?: Rounding;
}

const CHANNELS = 3;
/** Source rows that cross into the WebAssembly memory at a time. */
const CHUNK_ROWS = 16;

/**
 * Resizes a picture.
 *
 * @param rgb u8 [height, width, 3].
 * @returns u8 [outHeight, outWidth, 3]; a copy when the size does not change.
 * @throws INPUT_INVALID when the sizes are no positive integers or do not fit the data; OUT_OF_MEMORY.
 */
export function resizeBicubic(
  rgb: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  outWidth: number,
  outHeight: number,
  options?: ResizeOptions,
): Uint8Array {
  const { rounding = "torchvision" } = readOptions(options, "resizeBicubic", ["rounding"]);
  checkSizes({ width, height, outWidth, outHeight });
  checkFrame(rgb, { width, height });
  checkRounding(rounding);
  if (width === outWidth && height === outHeight) return new Uint8Array(rgb);
  const out = newBytes(outWidth * outHeight * CHANNELS, "Image", `resized to ${outWidth} x ${outHeight}`);
  const arena = new PixelArena();
  const resizer = new FrameResizer(
    arena,
    { width, height },
    { width: outWidth, height: outHeight },
    rounding,
  );
  const rowBytes = outWidth * CHANNELS;
  const strip = arena.allocate(CHUNK_ROWS * rowBytes);
  resizer.begin(rgb);
  for (let y = 0; y < outHeight; y += CHUNK_ROWS) {
    const rows = Math.min(CHUNK_ROWS, outHeight - y);
    resizer.nextRows(rows, strip);
    out.set(arena.bytes(strip, rows * rowBytes), y * rowBytes);
  }
  return out;
}

export interface FrameSize {
  readonly width: number;
  readonly height: number;
}

/**
 * Resizes frames of one size, one after another, in an arena of the caller's: horizontal pass, rounding to bytes,
 * vertical pass. Rows stream through a ring that holds what one output row needs, so the working memory is a few dozen
 * rows, whatever the height; weights are computed once for all frames.
 */
export class FrameResizer {
  readonly #arena: PixelArena;
  readonly #from: FrameSize;
  readonly #to: FrameSize;
  readonly #columns: ResampleWeights | null;
  readonly #columnWeights: number;
  readonly #ringRows: number;
  readonly #ring: number;
  readonly #loadRows: (source: Uint8Array, firstRow: number, rows: number) => void;
  #source: Uint8Array = new Uint8Array(0);
  /** Rows of the source that went through the horizontal pass, and rows handed out. */
  #loaded = 0;
  #done = 0;

  constructor(arena: PixelArena, from: FrameSize, to: FrameSize, rounding: Rounding) {
    this.#arena = arena;
    this.#from = from;
    this.#to = to;
    this.#columns = from.height === to.height ? null : resampleWeights(from.height, to.height, rounding);
    this.#columnWeights = this.#columns ? arena.place(this.#columns.weights) : 0;
    this.#ringRows = CHUNK_ROWS + (this.#columns ? maxOf(this.#columns.counts) : 0);
    this.#ring = arena.allocate(this.#ringRows * to.width * CHANNELS);
    this.#loadRows = rowPass(arena, from.width, to.width, this.#ring, this.#ringRows, rounding);
  }

  /**
   * @param rgb a frame of the size, u8 [height, width, 3]; it must stay as it is until its rows were handed out.
   * @throws INPUT_INVALID when it does not fit the size.
   */
  begin(rgb: Uint8Array | Uint8ClampedArray): void {
    checkFrame(rgb, this.#from);
    this.#source = new Uint8Array(rgb.buffer, rgb.byteOffset, rgb.byteLength);
    this.#loaded = 0;
    this.#done = 0;
  }

  /** Writes the frame's next `count` output rows to `address`; 15 bytes past them may be overwritten too. */
  nextRows(count: number, address: number): void {
    const rowBytes = this.#to.width * CHANNELS;
    for (const end = this.#done + count; this.#done < end; this.#done++, address += rowBytes) {
      if (this.#columns) this.#mixColumns(this.#columns, address, rowBytes);
      else this.#copyRow(address, rowBytes);
    }
  }

  #mixColumns({ starts, counts, taps, precision }: ResampleWeights, address: number, rowBytes: number): void {
    const y = this.#done;
    const [first, count] = [starts[y] as number, counts[y] as number];
    this.#load(first + count);
    const weights = this.#columnWeights + y * taps * Int32Array.BYTES_PER_ELEMENT;
    this.#arena.kernels.resampleColumns(
      ...([this.#ring, this.#ringRows, rowBytes, first, count, weights, precision, address] as const),
    );
  }

  #copyRow(address: number, rowBytes: number): void {
    this.#load(this.#done + 1);
    const from = this.#ring + (this.#done % this.#ringRows) * rowBytes;
    this.#arena.bytes(address, rowBytes).set(this.#arena.bytes(from, rowBytes));
  }

  /** Brings source rows below `end` into the ring. */
  #load(end: number): void {
    while (this.#loaded < end) {
      const rows = Math.min(CHUNK_ROWS, this.#from.height - this.#loaded);
      this.#loadRows(this.#source, this.#loaded, rows);
      this.#loaded += rows;
    }
  }
}

/** What brings source rows through the horizontal pass into the ring: row r lies in slot r % ringRows. */
function rowPass(
  arena: PixelArena,
  width: number,
  outWidth: number,
  ring: number,
  ringRows: number,
  rounding: Rounding,
): (source: Uint8Array, firstRow: number, rows: number) => void {
  const inBytes = width * CHANNELS;
  if (width === outWidth) {
    return (source, firstRow, rows) => {
      for (let row = firstRow; row < firstRow + rows; row++) {
        const slot = arena.bytes(ring + (row % ringRows) * inBytes, inBytes);
        slot.set(source.subarray(row * inBytes, (row + 1) * inBytes));
      }
    };
  }

  const { starts, counts, weights, taps, precision } = resampleWeights(width, outWidth, rounding);
  const tables = [arena.place(starts), arena.place(counts), arena.place(weights), taps, precision] as const;
  const strip = arena.allocate(CHUNK_ROWS * inBytes);
  return (source, firstRow, rows) => {
    arena.bytes(strip, rows * inBytes).set(source.subarray(firstRow * inBytes, (firstRow + rows) * inBytes));
    arena.kernels.resampleRows(strip, width, firstRow, rows, ...tables, ring, ringRows, outWidth);
  };
}

function maxOf(values: Int32Array): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

function checkSizes(sizes: Record<string, number>): void {
  for (const [name, size] of Object.entries(sizes)) {
    if (!Number.isInteger(size) || size < 1) {
      throw new GlimtError("INPUT_INVALID", `${name} is ${shown(size)}; it must be a positive integer.`);
    }
  }
}

function checkFrame(rgb: unknown, { width, height }: FrameSize): void {
  if (!ArrayBuffer.isView(rgb) || !(rgb instanceof Uint8Array || rgb instanceof Uint8ClampedArray)) {
    throw new GlimtError("INPUT_INVALID", "Pixels must be a Uint8Array or a Uint8ClampedArray, RGB.");
  }
  const expected = width * height * CHANNELS;
  if (rgb.length !== expected) {
    throw new GlimtError(
      "INPUT_INVALID",
      `${width} x ${height} RGB pixels are ${expected} bytes, but ${rgb.length} were given.`,
    );
  }
}

function checkRounding(rounding: string): void {
  if (rounding !== "torchvision" && rounding !== "pillow") {
    throw new GlimtError(
      "OPTION_INVALID",
      `rounding is ${shown(rounding)}; it must be "torchvision" or "pillow".`,
    );
  }
}
