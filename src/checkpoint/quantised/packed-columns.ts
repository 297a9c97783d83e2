/**
 * Weights that lie transposed, [in, out], as packed unsigned integers: w = (q - zero) * scale. A row of ours is a column
 * there, so that a tensor is read whole, packed as it is, before its first row.
 */
import { throwIfAborted } from "../../errors.ts";
import type { StoredTensor } from "../safetensors.ts";
import { type BlockChoice, storeBlockRow } from "./block-rows.ts";
import type { Decoder, Parts } from "./method.ts";
import type { GroupOrder, Run } from "./packed-rows.ts";

export interface PackedColumns {
  readonly shape: readonly [number, number];
  readonly words: StoredTensor;
  /** [groups, out]. */
  readonly scales: StoredTensor;
  /** Inputs that share a scale, in blocks. */
  readonly group: number;
  readonly order: GroupOrder;
  readonly encoding: string;
  /** [groups, out], as they are subtracted. */
  zeros(signal: AbortSignal | undefined): Promise<Uint8Array>;
  /** The blocks that hold the weight, or null; its groups follow one another then. */
  readonly inBlocks: BlockChoice | null;
  /** into[i] = integer [i, column], i in 0..in. */
  unpackColumn(words: Uint32Array, column: number, into: Uint8Array): void;
}

interface Held {
  readonly words: Uint32Array;
  readonly zeros: Uint8Array;
  readonly scales: Float32Array;
  /** The scales' f16 patterns, where the weight is in blocks. */
  readonly patterns: Uint16Array | null;
  readonly runs: readonly Run[];
}

/**
 * The tensor that was read last, which is the only one that is held: weights are read one after another, and each from
 * its first row to its last.
 */
export class LastRead {
  #owner: object | null = null;
  #held: Promise<Held> | null = null;

  take(owner: object, read: () => Promise<Held>): Promise<Held> {
    if (this.#owner !== owner || !this.#held) {
      const held = read();
      this.#owner = owner;
      this.#held = held;
      // Whoever comes next tries again.
      held.catch(() => {
        if (this.#held === held) this.release(owner);
      });
    }
    return this.#held;
  }

  release(owner: object): void {
    if (this.#owner !== owner) return;
    this.#owner = null;
    this.#held = null;
  }
}

export function packedColumns(parts: Parts, packed: PackedColumns, last: LastRead): Decoder {
  const { shape, words, scales, order, encoding, inBlocks } = packed;
  const [out, cols] = shape;
  const read = async (signal: AbortSignal | undefined): Promise<Held> => {
    const count = scales.shape.reduce((product, size) => product * size, 1);
    return {
      runs: await order.read(signal, inBlocks !== null),
      scales: await parts.floats(scales, 0, count, signal),
      patterns: inBlocks && (await parts.halves(scales, 0, count, signal)),
      zeros: await packed.zeros(signal),
      words: new Uint32Array((await parts.all(words, signal)).buffer),
    };
  };
  /** Hands out the integers of rows, zero points taken off, one row after another. */
  const each = async (
    first: number,
    count: number,
    signal: AbortSignal | undefined,
    take: (row: number, integers: Int16Array, held: Held) => void,
  ): Promise<void> => {
    const held = await last.take(packed, () => read(signal));
    throwIfAborted(signal);
    const fields = new Uint8Array(cols);
    const integers = new Int16Array(cols);
    for (let row = 0; row < count; row++) {
      packed.unpackColumn(held.words, first + row, fields);
      for (const { start, end, group } of held.runs) {
        const zero = held.zeros[group * out + first + row] as number;
        for (let col = start; col < end; col++) integers[col] = (fields[col] as number) - zero;
      }
      take(row, integers, held);
    }
    if (first + count === out) last.release(packed);
  };
  return {
    shape,
    encoding,
    rows: (first, count, into, signal) =>
      each(first, count, signal, (row, integers, { runs, scales: values }) => {
        for (const { start, end, group } of runs) {
          const scale = values[group * out + first + row] as number;
          for (let col = start; col < end; col++) into[row * cols + col] = (integers[col] as number) * scale;
        }
      }),
    blocks: inBlocks
      ? {
          ...inBlocks,
          rows: (first, count, into, signal) =>
            each(first, count, signal, (row, integers, { patterns }) => {
              const rowBytes = into.length / count;
              const scaleAt = (col: number) =>
                patterns?.[Math.floor(col / packed.group) * out + first + row] ?? 0;
              const target = into.subarray(row * rowBytes, (row + 1) * rowBytes);
              const wrong = storeBlockRow(inBlocks.format, integers, scaleAt, target);
              if (wrong < 0) return;
              throw parts.invalid(
                words,
                `has a zero point of column ${wrong} that goes against sym in its configuration`,
              );
            }),
        }
      : undefined,
  };
}
