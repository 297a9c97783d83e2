/** A weight as it is written: as one tensor, or in blocks as the three that compressed-tensors has for a module. */
import { GlimtError } from "../../errors.ts";
import { turnWhenDue } from "../../event-loop.ts";
import { countNotFiniteBlocks } from "../../tensor/block-parts.ts";
import { BLOCK_COLS, fitsInto8Bits, into8Bits, type MadeBlockFormat, quantise } from "../../tensor/blocks.ts";
import { narrow } from "../../tensor/convert.ts";
import { rowElements, widenRows } from "../../tensor/rows.ts";
import { isBlockFormat, type RoundedFormat, storageBytes } from "../../tensor/storage.ts";
import { BITS, integerBytes, packBlocks, SCALE_BYTES } from "../quantised/packed-blocks.ts";
import type { StoredDType } from "../safetensors.ts";
import { shownName } from "../shown.ts";
import type { StoredWeight } from "../stored-weight.ts";
import type { WrittenTensor } from "./layout.ts";

export interface WrittenWeight {
  /** Published, and ends in ".weight" where it is in blocks. */
  readonly name: string;
  readonly source: StoredWeight;
  /** Blocks are for matrices whose rows are whole blocks. */
  readonly format: RoundedFormat;
}

/** Puts bytes where they belong, `at` counted from the tensor's first byte. They are the caller's again when it is done. */
export type PlaceBytes = (tensor: string, at: number, bytes: Uint8Array) => Promise<void>;

const DTYPES: Readonly<Record<Exclude<RoundedFormat, MadeBlockFormat>, StoredDType>> = {
  f32: "F32",
  bf16: "BF16",
  f16: "F16",
};

/** Bytes of the rows that are converted at a time, in f32 where they are widened (those of one row, if these are more). */
const BATCH = 4 << 20;

/** Of one weight. In blocks: its integers, its shape, its scales, in this order. */
export function tensorsOf({ name, source, format }: WrittenWeight): readonly WrittenTensor[] {
  const { shape } = source;
  if (!isBlockFormat(format)) return [{ name, dtype: DTYPES[format], shape }];
  const [rows = 1, cols = 1] = shape;
  return [
    { name: `${name}_packed`, dtype: "I32", shape: [rows, (cols * BITS[format]) / 32] },
    { name: `${name}_shape`, dtype: "I64", shape: [2] },
    { name: `${name}_scale`, dtype: "F16", shape: [rows, cols / BLOCK_COLS] },
  ];
}

/**
 * Reads a weight and hands on what is written of it, some MiB at a time.
 *
 * @param onWritten told of the bytes of each piece
 * @throws WEIGHTS_INVALID for NaN and infinity that would become blocks; what reading throws; ABORTED
 */
export async function writeWeight(
  weight: WrittenWeight,
  place: PlaceBytes,
  onWritten: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { name, source, format } = weight;
  const [rows = 1, ...rest] = source.shape;
  const cols = rest.reduce((product, size) => product * size, 1);
  const widest = source.format === format ? format : "f32";
  const batchRows = Math.max(1, Math.floor(BATCH / Math.max(1, storageBytes(widest, 1, cols))));
  const rowBytes = storageBytes(source.format, 1, cols);
  const staging = new Uint8Array(Math.min(rows, batchRows) * rowBytes);
  if (isBlockFormat(format)) await place(`${name}_shape`, 0, shapeBytes(rows, cols));
  for (let first = 0; first < rows; first += batchRows) {
    await turnWhenDue(signal);
    const count = Math.min(batchRows, rows - first);
    const stored = staging.subarray(0, count * rowBytes);
    await source.readRows(first, count, stored, signal);
    const written = converted(weight, stored);
    if (isBlockFormat(format)) {
      const blocks = (count * cols) / BLOCK_COLS;
      const words = new Uint8Array(blocks * integerBytes(format));
      const scales = new Uint8Array(blocks * SCALE_BYTES);
      packBlocks(format, written, words, scales);
      const before = (first * cols) / BLOCK_COLS;
      await place(`${name}_packed`, before * integerBytes(format), words);
      await place(`${name}_scale`, before * SCALE_BYTES, scales);
    } else {
      await place(name, storageBytes(format, first, cols), written);
    }
    onWritten(written.length);
  }
}

/** Rows in the format that is written, in memory of their own or in the given one. */
function converted({ name, source, format }: WrittenWeight, stored: Uint8Array): Uint8Array {
  const bad = () =>
    new GlimtError(
      "WEIGHTS_INVALID",
      `${shownName(name)} in ${source.file} holds values that are NaN, infinite, or too large for ${format}: the checkpoint is damaged, or was saved in a type too narrow.`,
    );
  if (source.format === format) {
    if (isBlockFormat(format) && countNotFiniteBlocks(format, stored) > 0) throw bad();
    return stored;
  }
  if (format === "q8" && fitsInto8Bits(source.format)) {
    if (countNotFiniteBlocks(source.format, stored) > 0) throw bad();
    return into8Bits(source.format, stored);
  }
  const values = widenRows(source.format, stored);
  if (isBlockFormat(format)) {
    const blocks = new Uint8Array(storageBytes(format, 1, values.length));
    if (quantise(format, values, blocks) > 0) throw bad();
    return blocks;
  }
  if (format === "f32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const narrowed = new Uint8Array(storageBytes(format, 1, values.length));
  narrow(format, values, 0, values.length, rowElements(format, narrowed), 0);
  return narrowed;
}

/** int64, as compressed-tensors has it. */
function shapeBytes(rows: number, cols: number): Uint8Array {
  return new Uint8Array(BigInt64Array.of(BigInt(rows), BigInt(cols)).buffer);
}
