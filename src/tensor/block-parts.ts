/**
 * What the bytes of a block hold, in each block format: ggml's Q8_0 (q8) and Q4_0 (q4), and its types of the formats' own
 * names. An element is float32(quant * scale), plus its group's minimum where the format has minima, rounded again. A group's
 * scale is its block's times a code, which float32 has exactly, and so is its minimum; where a block is one group the codes
 * are 1.
 */
import { f16Value } from "./convert.ts";
import { type BlockFormat, blockCols, FORMATS, storageBytes } from "./storage.ts";

/** Of blocks one after another. */
export interface BlockParts {
  /** One a column. */
  readonly quants: Int8Array;
  /** One a block, and one a group. */
  readonly scales: Float32Array;
  readonly scaleCodes: Int8Array;
  /** The same; of no length in formats without. */
  readonly minima: Float32Array;
  readonly minimumCodes: Uint8Array;
}

/** Columns that share a scale. */
export function groupCols(format: BlockFormat): number {
  return FORMATS[format].group.cols;
}

export function hasMinima(format: BlockFormat): boolean {
  return "minimum" in FORMATS[format].group;
}

export function bytesOfBlock(format: BlockFormat): number {
  return storageBytes(format, 1, blockCols(format));
}

/** Room for the parts of `cols` columns. */
export function blockParts(format: BlockFormat, cols: number): BlockParts {
  const [blocks, groups] = [cols / blockCols(format), cols / groupCols(format)];
  const has = hasMinima(format) ? 1 : 0;
  return {
    quants: new Int8Array(cols),
    scales: new Float32Array(blocks),
    scaleCodes: new Int8Array(groups).fill(1),
    minima: new Float32Array(has * blocks),
    minimumCodes: new Uint8Array(has * groups).fill(1),
  };
}

/** Parts of the block that begins at byte `at`, from `quant` and `block` on; of codes those that are not 1. */
type ReadBlock = (bytes: Uint8Array, at: number, parts: BlockParts, quant: number, block: number) => void;

const SHORT = 32;
const LONG = 256;

const READ: Readonly<Record<BlockFormat, ReadBlock>> = {
  q8(bytes, at, { quants, scales }, quant, block) {
    scales[block] = half(bytes, at);
    for (let i = 0; i < SHORT; i++) quants[quant + i] = bytes[at + 2 + i] as number;
  },
  q4(bytes, at, { quants, scales }, quant, block) {
    scales[block] = half(bytes, at);
    lowAndHigh(bytes, at + 2, SHORT / 2, quants, quant);
    take(8, quants, quant, SHORT);
  },
  q4_1(bytes, at, { quants, scales, minima }, quant, block) {
    scales[block] = half(bytes, at);
    minima[block] = half(bytes, at + 2);
    lowAndHigh(bytes, at + 4, SHORT / 2, quants, quant);
  },
  q5_0(bytes, at, { quants, scales }, quant, block) {
    scales[block] = half(bytes, at);
    lowAndHigh(bytes, at + 6, SHORT / 2, quants, quant);
    fifthBits(bytes, at + 2, quants, quant);
    take(16, quants, quant, SHORT);
  },
  q5_1(bytes, at, { quants, scales, minima }, quant, block) {
    scales[block] = half(bytes, at);
    minima[block] = half(bytes, at + 2);
    lowAndHigh(bytes, at + 8, SHORT / 2, quants, quant);
    fifthBits(bytes, at + 4, quants, quant);
  },
  q4_k(bytes, at, parts, quant, block) {
    codes(bytes, at, parts, block);
    for (let i = 0; i < LONG; i += 64) lowAndHigh(bytes, at + 16 + i / 2, 32, parts.quants, quant + i);
  },
  q5_k(bytes, at, parts, quant, block) {
    codes(bytes, at, parts, block);
    const { quants } = parts;
    for (let i = 0; i < LONG; i += 64) lowAndHigh(bytes, at + 48 + i / 2, 32, quants, quant + i);
    // Of 32 values each one bit of a byte.
    for (let i = 0; i < LONG; i++) {
      const bit = ((bytes[at + 16 + (i & 31)] as number) >> (i >> 5)) & 1;
      quants[quant + i] = (quants[quant + i] as number) | (bit << 4);
    }
  },
  q6_k(bytes, at, { quants, scales, scaleCodes }, quant, block) {
    scales[block] = half(bytes, at + 208);
    for (let g = 0; g < 16; g++) scaleCodes[16 * block + g] = bytes[at + 192 + g] as number;
    for (let side = 0; side < 2; side++) {
      const to = quant + 128 * side;
      lowAndHigh(bytes, at + 64 * side, 64, quants, to);
      for (let i = 0; i < 128; i++) {
        const bits = ((bytes[at + 128 + 32 * side + (i & 31)] as number) >> (2 * (i >> 5))) & 3;
        quants[to + i] = ((quants[to + i] as number) | (bits << 4)) - 32;
      }
    }
  },
};

/** Where the numbers lie in a block, in f16, that its scales, and its minima, are made of. */
export const SCALE_PLACES: Readonly<Record<BlockFormat, readonly number[]>> = {
  q8: [0],
  q4: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
};

/** Parts of blocks [first, first + count) of plain `bytes`. */
export function readBlocks(
  format: BlockFormat,
  bytes: Uint8Array,
  first: number,
  count: number,
  parts: BlockParts,
): void {
  const [cols, blockBytes, read] = [blockCols(format), bytesOfBlock(format), READ[format]];
  for (let block = 0; block < count; block++) {
    read(bytes, (first + block) * blockBytes, parts, block * cols, block);
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
  const [cols, blockBytes, groupLength] = [blockCols(format), bytesOfBlock(format), groupCols(format)];
  const parts = blockParts(format, cols);
  const { quants, scales, scaleCodes, minima, minimumCodes } = parts;
  const read = READ[format];
  for (let done = 0; done < count; ) {
    const start = (first + done) % cols;
    const end = Math.min(cols, start + count - done);
    read(bytes, ((first + done - start) / cols) * blockBytes, parts, 0, 0);
    const to = at + done - start;
    for (let col = start; col < end; ) {
      const group = Math.floor(col / groupLength);
      const stop = Math.min(end, (group + 1) * groupLength);
      const scale = (scales[0] as number) * (scaleCodes[group] as number);
      if (minima.length === 0) {
        for (; col < stop; col++) into[to + col] = (quants[col] as number) * scale;
      } else {
        const minimum = (minima[0] as number) * (minimumCodes[group] as number);
        for (; col < stop; col++) into[to + col] = Math.fround((quants[col] as number) * scale) + minimum;
      }
    }
    done += end - start;
  }
}

/** How many elements of plain `bytes` are NaN or infinite: those of blocks whose scale or minimum is. */
export function countNotFiniteBlocks(format: BlockFormat, bytes: Uint8Array): number {
  const [cols, blockBytes, places] = [blockCols(format), bytesOfBlock(format), SCALE_PLACES[format]];
  let count = 0;
  for (let at = 0; at < bytes.length; at += blockBytes) {
    if (places.some((offset) => !Number.isFinite(half(bytes, at + offset)))) count += cols;
  }
  return count;
}

function half(bytes: Uint8Array, at: number): number {
  return f16Value((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
}

/** The low halves of `count` bytes, then their high ones. */
function lowAndHigh(bytes: Uint8Array, from: number, count: number, quants: Int8Array, at: number): void {
  for (let i = 0; i < count; i++) {
    const pair = bytes[from + i] as number;
    quants[at + i] = pair & 15;
    quants[at + count + i] = pair >> 4;
  }
}

/** Of 32 values a bit each, the lowest first. */
function fifthBits(bytes: Uint8Array, from: number, quants: Int8Array, at: number): void {
  for (let i = 0; i < SHORT; i++) {
    const bit = ((bytes[from + (i >> 3)] as number) >> (i & 7)) & 1;
    quants[at + i] = (quants[at + i] as number) | (bit << 4);
  }
}

function take(offset: number, quants: Int8Array, at: number, count: number): void {
  for (let i = 0; i < count; i++) quants[at + i] = (quants[at + i] as number) - offset;
}

/** Of Q4_K and Q5_K: eight scales and eight minima of six bits in twelve bytes, those of the last four in two pieces. */
function codes(bytes: Uint8Array, at: number, parts: BlockParts, block: number): void {
  const { scales, scaleCodes, minima, minimumCodes } = parts;
  scales[block] = half(bytes, at);
  minima[block] = -half(bytes, at + 2);
  const code = (index: number) => bytes[at + 4 + index] as number;
  for (let g = 8 * block; g < 8 * block + 4; g++) {
    const [low, high, both] = [code(g & 7), code((g & 7) + 4), code((g & 7) + 8)];
    scaleCodes[g] = low & 63;
    minimumCodes[g] = high & 63;
    scaleCodes[g + 4] = (both & 15) | ((low >> 6) << 4);
    minimumCodes[g + 4] = (both >> 4) | ((high >> 6) << 4);
  }
}
