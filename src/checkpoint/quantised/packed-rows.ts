/** Rows of packed unsigned integers with a scale for each group of columns: w = (q - zero) * scale, or q * scale + bias. */

import { BLOCK_COLS } from "../../tensor/blocks.ts";
import type { StoredTensor } from "../safetensors.ts";
import { unpackFields, wordsOf } from "./bit-fields.ts";
import { blocksOf, storeBlockRow } from "./block-rows.ts";
import type { Decoder, Parts } from "./method.ts";
import { BITS, unpackBlocks } from "./packed-blocks.ts";

export interface PackedRows {
  /** [out, words of a row]. */
  readonly words: StoredTensor;
  readonly bits: number;
  readonly cols: number;
  /** [out, groups]. */
  readonly scales: StoredTensor;
  /** Columns that share a scale, the last group perhaps fewer. */
  readonly group: number;
  /** What is subtracted from each integer: one number, or packed integers [words of out, groups]. */
  readonly zero?: number | StoredTensor;
  /** [out, groups]. */
  readonly biases?: StoredTensor;
  /** [cols]: the group of each column, where they do not follow one another. */
  readonly groupOf?: StoredTensor | undefined;
  readonly encoding: string;
}

export function packedRows(parts: Parts, packed: PackedRows): Decoder {
  const { words, bits, cols, scales, group, zero = 0, biases } = packed;
  const out = words.shape[0] as number;
  const groups = Math.ceil(cols / group);
  const orders = new GroupOrder(parts, packed.groupOf, cols, group, groups);
  const isSymmetric = zero === 2 ** (bits - 1);
  const inBlocks = packed.groupOf
    ? null
    : blocksOf(scales, { bits, cols, group, isSymmetric, minima: biases });
  /** Hands out the integers of rows, zero points taken off, one row after another. */
  const each = async (
    first: number,
    count: number,
    signal: AbortSignal | undefined,
    runs: readonly Run[],
    take: (row: number, integers: Int16Array) => void,
  ): Promise<void> => {
    const zeros = await zerosOfRows(parts, zero, bits, groups, first, count, signal);
    const bytes = await parts.rows(words, first, count, signal);
    const rowBytes = bytes.length / count;
    const fields = new Uint8Array(cols);
    const integers = new Int16Array(cols);
    for (let row = 0; row < count; row++) {
      unpackFields(bytes.subarray(row * rowBytes, (row + 1) * rowBytes), bits, cols, fields, 0);
      for (const { start, end, group: g } of runs) {
        const zeroOf = zeros[row * groups + g] as number;
        for (let col = start; col < end; col++) integers[col] = (fields[col] as number) - zeroOf;
      }
      take(row, integers);
    }
  };
  return {
    shape: [out, cols],
    encoding: packed.encoding,
    async rows(first, count, into, signal) {
      const runs = await orders.read(signal);
      const [from, to] = [first * groups, (first + count) * groups];
      const scale = await parts.floats(scales, from, to, signal);
      const bias = biases && (await parts.floats(biases, from, to, signal));
      await each(first, count, signal, runs, (row, integers) => {
        for (const { start, end, group: g } of runs) {
          const scaleOf = scale[row * groups + g] as number;
          const biasOf = bias?.[row * groups + g];
          for (let col = start; col < end; col++) {
            const product = (integers[col] as number) * scaleOf;
            into[row * cols + col] = biasOf === undefined ? product : Math.fround(product) + biasOf;
          }
        }
      });
    },
    blocks: inBlocks
      ? {
          ...inBlocks,
          async rows(first, count, into, signal) {
            const blockFormat = inBlocks.format;
            const [from, to] = [first * groups, (first + count) * groups];
            const halves = parts.halves(scales, from, to, signal);
            if ((blockFormat === "q8" || blockFormat === "q4") && bits === BITS[blockFormat]) {
              const packed = into.subarray(into.length - 4 * count * (words.shape[1] as number));
              // At once: they are waited for while others compute.
              const [found] = await Promise.all([halves, parts.readRows(words, first, packed, signal)]);
              unpackBlocks(blockFormat, into, scalesOfBlocks(found, groups, cols, group));
              return;
            }
            const patterns = await halves;
            const minima = biases && (await parts.halves(biases, from, to, signal));
            const rowBytes = into.length / count;
            await each(first, count, signal, await orders.read(signal), (row, integers) => {
              const groupOf = (col: number) => row * groups + Math.floor(col / group);
              const scaleAt = (col: number) => patterns[groupOf(col)] as number;
              const minimumAt = (col: number) => minima?.[groupOf(col)] ?? 0;
              const target = into.subarray(row * rowBytes, (row + 1) * rowBytes);
              storeBlockRow(blockFormat, integers, scaleAt, target, minimumAt);
            });
          },
        }
      : undefined,
  };
}

/** [count, blocks of a row] of [count, groups]: groups are whole blocks. */
function scalesOfBlocks(patterns: Uint16Array, groups: number, cols: number, group: number): Uint16Array {
  if (group === BLOCK_COLS) return patterns;
  const blocks = cols / BLOCK_COLS;
  const scales = new Uint16Array((patterns.length / groups) * blocks);
  for (let at = 0; at < scales.length; at++) {
    const block = at % blocks;
    const groupOf = Math.floor((block * BLOCK_COLS) / group);
    scales[at] = patterns[((at - block) / blocks) * groups + groupOf] as number;
  }
  return scales;
}

/** [count, groups]. */
async function zerosOfRows(
  parts: Parts,
  zero: number | StoredTensor,
  bits: number,
  groups: number,
  first: number,
  count: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const zeros = new Uint8Array(count * groups);
  if (typeof zero === "number") return zeros.fill(zero);
  // Fields do not cross words here: 4 and 8 divide 32.
  const perWord = 32 / bits;
  const firstWord = Math.floor(first / perWord);
  const bytes = await parts.rows(zero, firstWord, wordsOf(first + count, bits) - firstWord, signal);
  const words = new Uint32Array(bytes.buffer);
  const mask = 2 ** bits - 1;
  for (let row = 0; row < count; row++) {
    const word = Math.floor((first + row) / perWord) - firstWord;
    const shift = ((first + row) % perWord) * bits;
    for (let g = 0; g < groups; g++) {
      zeros[row * groups + g] = ((words[word * groups + g] as number) >>> shift) & mask;
    }
  }
  return zeros;
}

/** Columns one after another of the same group. */
export interface Run {
  readonly start: number;
  readonly end: number;
  readonly group: number;
}

/** The group of each column of a matrix. */
export class GroupOrder {
  readonly #parts: Parts;
  readonly #tensor: StoredTensor | undefined;
  readonly #cols: number;
  readonly #group: number;
  readonly #groups: number;

  /** Without a tensor they follow one another. */
  constructor(parts: Parts, tensor: StoredTensor | undefined, cols: number, group: number, groups: number) {
    this.#parts = parts;
    this.#tensor = tensor;
    this.#cols = cols;
    this.#group = group;
    this.#groups = groups;
  }

  /** @throws CHECKPOINT_INVALID when one is out of range, or not in order where they have to be */
  async read(signal: AbortSignal | undefined, mustFollow = false): Promise<readonly Run[]> {
    const groupAt = (col: number) => Math.floor(col / this.#group);
    const following = () => runsOf(Int32Array.from({ length: this.#cols }, (_, col) => groupAt(col)));
    if (!this.#tensor) return following();
    const tensor = this.#tensor;
    const groupOf = new Int32Array((await this.#parts.all(tensor, signal)).buffer);
    // As compressed-tensors writes what was not set.
    if (groupOf.every((group) => group === -1)) return following();
    const invalid = (col: number, why: string) =>
      this.#parts.invalid(tensor, `puts column ${col} in group ${groupOf[col]}, but ${why}`);
    const wrong = groupOf.findIndex((group) => group < 0 || group >= this.#groups);
    if (wrong >= 0) throw invalid(wrong, `there are ${this.#groups}`);
    const moved = mustFollow ? groupOf.findIndex((group, col) => group !== groupAt(col)) : -1;
    if (moved >= 0) throw invalid(moved, "the configuration says no desc_act");
    return runsOf(groupOf);
  }
}

function runsOf(groupOf: Int32Array): Run[] {
  const runs: Run[] = [];
  for (let start = 0, col = 1; col <= groupOf.length; col++) {
    if (groupOf[col] === groupOf[start]) continue;
    runs.push({ start, end: col, group: groupOf[start] as number });
    start = col;
  }
  return runs;
}
