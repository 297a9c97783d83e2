/**
 * Our blocks as packed integers and back, without loss: 4 or 8 bits one after another, lowest first, each with half of the
 * range added, and the blocks' f16 scales beside them. That is how compressed-tensors packs groups of a block's length.
 */
import { bytesOfBlock } from "../../tensor/block-parts.ts";
import { BLOCK_COLS, type MadeBlockFormat } from "../../tensor/blocks.ts";

/** Of a block. */
export const SCALE_BYTES = 2;

export const BITS: Readonly<Record<MadeBlockFormat, 4 | 8>> = { q4: 4, q8: 8 };

/** Of a block, packed. */
export function integerBytes(format: MadeBlockFormat): number {
  return bytesOfBlock(format) - SCALE_BYTES;
}

/** `words` gets the integers and `scales` the scales of all of `blocks`, one block after another. */
export function packBlocks(
  format: MadeBlockFormat,
  blocks: Uint8Array,
  words: Uint8Array,
  scales: Uint8Array,
): void {
  const [blockBytes, packedBytes] = [bytesOfBlock(format), integerBytes(format)];
  for (
    let block = 0, from = 0, to = 0;
    from < blocks.length;
    block++, from += blockBytes, to += packedBytes
  ) {
    scales[2 * block] = blocks[from] as number;
    scales[2 * block + 1] = blocks[from + 1] as number;
    if (format === "q8") packEight(blocks, from + SCALE_BYTES, words, to);
    else packFour(blocks, from + SCALE_BYTES, words, to);
  }
}

function packEight(blocks: Uint8Array, from: number, words: Uint8Array, to: number): void {
  for (let i = 0; i < BLOCK_COLS; i++) words[to + i] = (blocks[from + i] as number) ^ 0x80;
}

/** A block's byte holds columns i and 16 + i; a packed one columns 2 i and 2 i + 1. */
function packFour(blocks: Uint8Array, from: number, words: Uint8Array, to: number): void {
  const quarter = BLOCK_COLS / 4;
  for (let i = 0; i < quarter; i++) {
    const even = blocks[from + 2 * i] as number;
    const odd = blocks[from + 2 * i + 1] as number;
    words[to + i] = (even & 15) | ((odd & 15) << 4);
    words[to + quarter + i] = (even >> 4) | (odd & 0xf0);
  }
}

/**
 * The other way, in place: `blocks` has room for as many blocks as there are `scales` (f16 patterns), begins at an even
 * address, and ends with their packed integers. Nothing is read that was written before.
 */
export function unpackBlocks(format: MadeBlockFormat, blocks: Uint8Array, scales: Uint16Array): void {
  const { buffer, byteOffset, length } = blocks;
  const pairs = new Uint16Array(buffer, byteOffset, length / 2);
  const count = scales.length;
  if (format === "q4") {
    unpackFour(pairs, scales, count);
    return;
  }
  const isInWords = byteOffset % 4 === 0 && count % 2 === 0;
  if (isInWords) unpackEightByTwo(new Int32Array(buffer, byteOffset, length / 4), scales, count);
  else unpackEight(pairs, scales, count);
}

/** Two blocks are 17 words. */
function unpackEightByTwo(words: Int32Array, scales: Uint16Array, count: number): void {
  const length = BLOCK_COLS / 4;
  for (let block = 0, from = count / 2, to = 0; block < count; block += 2) {
    let before = scales[block] as number;
    for (const end = from + length; from < end; ) {
      const word = (words[from++] as number) ^ 0x80808080;
      words[to++] = before | (word << 16);
      before = word >>> 16;
    }
    words[to++] = before | ((scales[block + 1] as number) << 16);
    for (const end = from + length; from < end; ) words[to++] = (words[from++] as number) ^ 0x80808080;
  }
}

function unpackEight(pairs: Uint16Array, scales: Uint16Array, count: number): void {
  const length = BLOCK_COLS / 2;
  for (let block = 0, from = count, to = 0; block < count; block++) {
    pairs[to++] = scales[block] as number;
    for (const end = from + length; from < end; ) pairs[to++] = (pairs[from++] as number) ^ 0x8080;
  }
}

function unpackFour(pairs: Uint16Array, scales: Uint16Array, count: number): void {
  const half = BLOCK_COLS / 8;
  for (let block = 0, from = count, to = 0; block < count; block++, from += 2 * half) {
    // Eight numbers that are read before any is written.
    const a0 = pairs[from] as number;
    const a1 = pairs[from + 1] as number;
    const a2 = pairs[from + 2] as number;
    const a3 = pairs[from + 3] as number;
    const b0 = pairs[from + 4] as number;
    const b1 = pairs[from + 5] as number;
    const b2 = pairs[from + 6] as number;
    const b3 = pairs[from + 7] as number;
    pairs[to++] = scales[block] as number;
    pairs[to++] = lowBytes(a0, b0);
    pairs[to++] = lowBytes(a0 >> 8, b0 >> 8);
    pairs[to++] = lowBytes(a1, b1);
    pairs[to++] = lowBytes(a1 >> 8, b1 >> 8);
    pairs[to++] = lowBytes(a2, b2);
    pairs[to++] = lowBytes(a2 >> 8, b2 >> 8);
    pairs[to++] = lowBytes(a3, b3);
    pairs[to++] = lowBytes(a3 >> 8, b3 >> 8);
  }
}

/** Two bytes of a block out of the packed bytes of its columns 2 i, 2 i + 1 (`a`) and 16 + 2 i, 17 + 2 i (`b`). */
function lowBytes(a: number, b: number): number {
  return (a & 15) | ((b & 15) << 4) | ((a & 0xf0) << 4) | ((b & 0xf0) << 8);
}
