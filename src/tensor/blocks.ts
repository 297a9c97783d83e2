/**
 * Float32 values as blocks of 32 columns, ggml's Q8_0 and Q4_0 to the bit. In plain layout a row is its blocks, each a scale
 * (f16) and the integers of its columns: q8 has 32 of 8 bits; q4 has 16 bytes, whose low halves are columns 0..15 and
 * whose high halves are columns 16..31, each q + 8. An element is float32(q * scale).
 */
import { blockParts, bytesOfBlock, readBlocks } from "./block-parts.ts";
import { narrow } from "./convert.ts";
import { type BlockFormat, FORMATS, type RoundedFormat, type StorageFormat } from "./storage.ts";

/** Columns of a block of these formats, and of blocks of activations. */
export const BLOCK_COLS = FORMATS.q8.group.cols;

/** Formats of blocks that float32 values are made into. */
/**
 * Blocks that float32 values are rounded to here.
 *
 * @useDeclaredType
 */
export type MadeBlockFormat = Extract<RoundedFormat, BlockFormat>;

const SCALE_BYTES = 2;

/**
 * Fills `into` with the plain bytes of `values`, float32 elements of whole blocks. Returns how many elements are NaN or
 * infinite as stored: all of a block that has such a value, or one too large for its scale.
 */
export function quantise(format: MadeBlockFormat, values: Float32Array, into: Uint8Array): number {
  const blocks = values.length / BLOCK_COLS;
  const quants = new Int8Array(BLOCK_COLS);
  const scales = new Float32Array(blocks);
  const blockBytes = bytesOfBlock(format);
  const quantiseBlock = format === "q8" ? quantiseBlock8 : quantiseBlock4;
  for (let block = 0; block < blocks; block++) {
    const start = block * BLOCK_COLS;
    scales[block] = quantiseBlock(values.subarray(start, start + BLOCK_COLS), quants);
    storeQuants(format, quants, into, block * blockBytes + SCALE_BYTES);
  }
  const patterns = new Uint16Array(blocks);
  narrow("f16", scales, 0, blocks, patterns, 0);
  let bad = 0;
  for (let block = 0; block < blocks; block++) {
    const pattern = patterns[block] as number;
    storeHalf(pattern, into, block * blockBytes);
    if (isNotFinite(pattern)) bad += BLOCK_COLS;
  }
  return bad;
}

/** The largest magnitude becomes 127. */
function quantiseBlock8(values: Float32Array, quants: Int8Array): number {
  const scale = Math.fround(largestMagnitude(values) / 127);
  const inverse = inverseOf(scale);
  for (let i = 0; i < BLOCK_COLS; i++) {
    const scaled = Math.fround((values[i] as number) * inverse);
    // To the nearest, half away from zero.
    quants[i] = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
  }
  return scale;
}

/** The value of largest magnitude, the first of them, becomes -8. */
function quantiseBlock4(values: Float32Array, quants: Int8Array): number {
  const magnitude = largestMagnitude(values);
  // Of zeros +0, whatever their signs.
  const largest = magnitude === 0 ? 0 : (values.find((value) => Math.abs(value) === magnitude) ?? Number.NaN);
  const scale = Math.fround(largest / -8);
  const inverse = inverseOf(scale);
  for (let i = 0; i < BLOCK_COLS; i++) {
    const shifted = Math.fround(Math.fround((values[i] as number) * inverse) + 8.5);
    quants[i] = Math.min(15, Math.trunc(shifted)) - 8;
  }
  return scale;
}

/** NaN when one is NaN. */
export function largestMagnitude(values: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i] as number));
  return largest;
}

/** 0 where there is none: of a block of zeros, and of scales that f16 stores as zero in any case. */
function inverseOf(scale: number): number {
  const inverse = Math.fround(1 / scale);
  return Number.isFinite(inverse) ? inverse : 0;
}

/** Formats that integers of checkpoints are stored in. */
export type IntegerFormat = MadeBlockFormat | "q4_1" | "q5_0";

/**
 * Puts a block's bytes at `at`: its scale, and the minimum of a format that has one, as f16 patterns, and its 32 integers,
 * which the format must hold.
 */
export function storeBlock(
  format: IntegerFormat,
  scale: number,
  minimum: number,
  quants: Int8Array,
  into: Uint8Array,
  at: number,
): void {
  storeHalf(scale, into, at);
  if (format === "q4_1") {
    storeHalf(minimum, into, at + SCALE_BYTES);
    storeNibbles(quants, 0, into, at + 2 * SCALE_BYTES);
  } else if (format === "q5_0") {
    const high = at + SCALE_BYTES;
    storeNibbles(quants, 16, into, high + 4);
    into.fill(0, high, high + 4);
    for (let i = 0; i < BLOCK_COLS; i++) {
      const bit = ((quants[i] as number) + 16) >> 4;
      into[high + (i >> 3)] = (into[high + (i >> 3)] as number) | (bit << (i & 7));
    }
  } else {
    storeQuants(format, quants, into, at + SCALE_BYTES);
  }
}

/** Formats whose blocks of the same integers and scales are blocks of q8. */
export function fitsInto8Bits(format: StorageFormat): format is "q5_0" {
  return format === "q5_0";
}

/** The same values in q8. */
export function into8Bits(format: "q5_0", bytes: Uint8Array): Uint8Array {
  const [from, to] = [bytesOfBlock(format), bytesOfBlock("q8")];
  const result = new Uint8Array((bytes.length / from) * to);
  const parts = blockParts(format, BLOCK_COLS);
  for (let block = 0; block * from < bytes.length; block++) {
    readBlocks(format, bytes, block, 1, parts);
    result.set(bytes.subarray(block * from, block * from + SCALE_BYTES), block * to);
    storeQuants("q8", parts.quants, result, block * to + SCALE_BYTES);
  }
  return result;
}

function storeHalf(pattern: number, into: Uint8Array, at: number): void {
  into[at] = pattern & 255;
  into[at + 1] = pattern >> 8;
}

/** The low four bits of integers to which `offset` was added: of columns 0..15 in the low halves of bytes. */
function storeNibbles(quants: Int8Array, offset: number, into: Uint8Array, at: number): void {
  const half = BLOCK_COLS / 2;
  for (let i = 0; i < half; i++) {
    const low = ((quants[i] as number) + offset) & 15;
    into[at + i] = low | ((((quants[half + i] as number) + offset) & 15) << 4);
  }
}

function storeQuants(format: MadeBlockFormat, quants: Int8Array, into: Uint8Array, at: number): void {
  if (format === "q8") {
    for (let i = 0; i < BLOCK_COLS; i++) into[at + i] = quants[i] as number;
    return;
  }
  storeNibbles(quants, 8, into, at);
}

function isNotFinite(f16: number): boolean {
  return (f16 & 0x7c00) === 0x7c00;
}
