/**
 * Matrices in blocks of 32 columns, ggml's Q8_0 and Q4_0 to the bit. In plain layout a row is its blocks, each a scale
 * (f16) and the integers of its columns: q8 has 32 of 8 bits; q4 has 16 bytes, whose low halves are columns 0..15 and
 * whose high halves are columns 16..31, each q + 8. An element is float32(q * scale).
 */
import { narrow, widen } from "./convert.ts";
import { type BlockFormat, FORMATS, storageBytes } from "./storage.ts";

/** Columns of a block. */
export const BLOCK_COLS = FORMATS.q8.group.cols;

const SCALE_BYTES = 2;

/**
 * Fills `into` with the plain bytes of `values`, float32 elements of whole blocks. Returns how many elements are NaN or
 * infinite as stored: all of a block that has such a value, or one too large for its scale.
 */
export function quantise(format: BlockFormat, values: Float32Array, into: Uint8Array): number {
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
    into[block * blockBytes] = pattern & 255;
    into[block * blockBytes + 1] = pattern >> 8;
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

/** Puts a block's bytes at `at`: its scale as an f16 pattern and its 32 integers, which the format must hold. */
export function storeBlock(
  format: BlockFormat,
  scale: number,
  quants: Int8Array,
  into: Uint8Array,
  at: number,
): void {
  into[at] = scale & 255;
  into[at + 1] = scale >> 8;
  storeQuants(format, quants, into, at + SCALE_BYTES);
}

function storeQuants(format: BlockFormat, quants: Int8Array, into: Uint8Array, at: number): void {
  if (format === "q8") {
    for (let i = 0; i < BLOCK_COLS; i++) into[at + i] = quants[i] as number;
    return;
  }
  const half = BLOCK_COLS / 2;
  for (let i = 0; i < half; i++) {
    into[at + i] = ((quants[i] as number) + 8) | (((quants[half + i] as number) + 8) << 4);
  }
}

/** Integers and scales of blocks [first, first + count) of plain `bytes`: 32 quants and a scale for each. */
export function readBlocks(
  format: BlockFormat,
  bytes: Uint8Array,
  first: number,
  count: number,
  quants: Int8Array,
  scales: Float32Array,
): void {
  const blockBytes = bytesOfBlock(format);
  const patterns = new Uint16Array(count);
  for (let block = 0; block < count; block++) {
    const at = (first + block) * blockBytes;
    patterns[block] = scalePattern(bytes, at);
    loadQuants(format, bytes, at + SCALE_BYTES, quants, block * BLOCK_COLS);
  }
  widen("f16", patterns, 0, count, scales, 0);
}

function loadQuants(format: BlockFormat, bytes: Uint8Array, from: number, quants: Int8Array, at: number) {
  if (format === "q8") {
    for (let i = 0; i < BLOCK_COLS; i++) quants[at + i] = bytes[from + i] as number;
    return;
  }
  const half = BLOCK_COLS / 2;
  for (let i = 0; i < half; i++) {
    const pair = bytes[from + i] as number;
    quants[at + i] = (pair & 15) - 8;
    quants[at + half + i] = (pair >> 4) - 8;
  }
}

/** into[at + i] = element first + i of plain `bytes`, counted row by row, i in 0..count. */
export function widenBlocks(
  format: BlockFormat,
  bytes: Uint8Array,
  first: number,
  count: number,
  into: Float32Array,
  at: number,
): void {
  const firstBlock = Math.floor(first / BLOCK_COLS);
  const blocks = Math.ceil((first + count) / BLOCK_COLS) - firstBlock;
  const quants = new Int8Array(blocks * BLOCK_COLS);
  const scales = new Float32Array(blocks);
  readBlocks(format, bytes, firstBlock, blocks, quants, scales);
  const skipped = first - firstBlock * BLOCK_COLS;
  for (let i = 0; i < count; i++) {
    const index = skipped + i;
    into[at + i] = (quants[index] as number) * (scales[Math.floor(index / BLOCK_COLS)] as number);
  }
}

/** How many elements of plain `bytes` are NaN or infinite: those whose scale is. */
export function countNotFiniteBlocks(format: BlockFormat, bytes: Uint8Array): number {
  const blockBytes = bytesOfBlock(format);
  let count = 0;
  for (let at = 0; at < bytes.length; at += blockBytes) {
    if (isNotFinite(scalePattern(bytes, at))) count += BLOCK_COLS;
  }
  return count;
}

export function bytesOfBlock(format: BlockFormat): number {
  return storageBytes(format, 1, BLOCK_COLS);
}

function scalePattern(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

function isNotFinite(f16: number): boolean {
  return (f16 & 0x7c00) === 0x7c00;
}
