/** Runs the decoder program over slices of one or more sequences. */
import type { DeviceTensor, Engine, Executable, RunOptions } from "../backends/backend.ts";
import type { TextConfig } from "../config/types.ts";
import type { PositionIds } from "../mrope/positions.ts";
import { textRotaryTable } from "../mrope/rotary.ts";
import { fromFloat32, toFloat32 } from "../tensor/convert.ts";
import type { KvPool, Sequence } from "./kv-pool.ts";

/** Vision features that stand in for the embeddings of some rows of a slice. */
export interface SliceFeatures {
  readonly tensor: DeviceTensor;
  readonly firstRow: number;
  /** Rows of the slice, ascending; as many as features. */
  readonly rows: Int32Array;
}

/** New tokens of one sequence; its keys and values are appended to the cache. */
export interface SequenceSlice {
  readonly sequence: Sequence;
  readonly inputIds: ArrayLike<number>;
  /** Three axes of inputIds.length positions each. */
  readonly positionIds: PositionIds;
  readonly features?: SliceFeatures | undefined;
  /** Whether the logits of the last token are wanted. */
  readonly wantsLogits: boolean;
}

/**
 * Columns of a block table for sequences of up to `pages` pages: few widths, so that what a backend prepares for the
 * sizes of a step serves many steps. Columns past a sequence's pages are not read.
 */
export function blockTableColumns(pages: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, pages)));
}

export class Decoder {
  readonly #engine: Engine;
  readonly #executable: Executable;
  readonly #config: TextConfig;
  readonly #pool: KvPool;
  #logits: DeviceTensor | null = null;

  constructor(engine: Engine, executable: Executable, config: TextConfig, pool: KvPool) {
    this.#engine = engine;
    this.#executable = executable;
    this.#config = config;
    this.#pool = pool;
  }

  /**
   * Runs one step. At most one slice may bring features.
   * @returns for each slice that wants them, the logits [vocabSize] of its last token.
   */
  async forward(slices: readonly SequenceSlice[], options: RunOptions = {}): Promise<Float32Array[]> {
    for (const { sequence, inputIds } of slices) sequence.reserve(inputIds.length);
    const inputs = this.#inputs(slices);
    const numLogits = inputs.logitRows.length;
    const logits = this.#logitsTensor(Math.max(1, numLogits));
    const features = this.#features(slices);
    const symbols = {
      tokens: inputs.inputIds.length,
      sequences: slices.length,
      blocks: inputs.blockTable.length / slices.length,
      pages: this.#pool.numPages,
      features: features.rows.length,
      logits: numLogits,
    };
    const buffers = {
      ...inputs,
      ...this.#pool.bindings(),
      features: features.values,
      featureRows: features.rows,
      logits,
    };
    await this.#engine.run(this.#executable, { symbols, buffers }, options);
    for (const { sequence, inputIds } of slices) sequence.length += inputIds.length;
    const { vocabSize } = this.#config;
    if (numLogits === 0) return [];
    const values = toFloat32(logits.dtype, await this.#engine.read(logits, 0, numLogits));
    return Array.from({ length: numLogits }, (_, row) =>
      values.slice(row * vocabSize, (row + 1) * vocabSize),
    );
  }

  #inputs(slices: readonly SequenceSlice[]) {
    const cuSeqlens = new Int32Array(slices.length + 1);
    const contextLens = new Int32Array(slices.length);
    const blocks = blockTableColumns(Math.max(...slices.map(({ sequence }) => sequence.blockTable.length)));
    const blockTable = new Int32Array(slices.length * blocks);
    const logitRows: number[] = [];
    slices.forEach(({ sequence, inputIds, wantsLogits }, index) => {
      cuSeqlens[index + 1] = (cuSeqlens[index] as number) + inputIds.length;
      contextLens[index] = sequence.length + inputIds.length;
      blockTable.set(sequence.blockTable, index * blocks);
      if (wantsLogits) logitRows.push((cuSeqlens[index + 1] as number) - 1);
    });
    const positionIds = [0, 1, 2].map((axis) =>
      Int32Array.from(slices.flatMap((slice) => [...(slice.positionIds[axis] as Int32Array)])),
    ) as PositionIds;
    return {
      inputIds: Int32Array.from(slices.flatMap(({ inputIds }) => Array.from(inputIds))),
      slots: Int32Array.from(
        slices.flatMap(({ sequence, inputIds }) =>
          Array.from(inputIds, (_, token) => sequence.slot(sequence.length + token)),
        ),
      ),
      ...textRotaryTable(positionIds, this.#config.rope),
      cuSeqlens,
      contextLens,
      blockTable,
      logitRows: Int32Array.from(logitRows),
    };
  }

  #features(slices: readonly SequenceSlice[]) {
    const index = slices.findIndex(({ features }) => features !== undefined);
    const features = slices[index]?.features;
    if (!features) {
      return { values: fromFloat32(this.#pool.layout.dtype, new Float32Array(0)), rows: new Int32Array(0) };
    }
    const before = slices.slice(0, index).reduce((sum, { inputIds }) => sum + inputIds.length, 0);
    const { tensor, firstRow, rows } = features;
    return { values: { tensor, firstRow, rows: rows.length }, rows: rows.map((row) => row + before) };
  }

  /** Frees what it allocated for itself; it may be used again. */
  release(): void {
    if (this.#logits) this.#engine.free(this.#logits);
    this.#logits = null;
  }

  #logitsTensor(rows: number): DeviceTensor {
    if (this.#logits && this.#logits.rows >= rows) return this.#logits;
    this.release();
    this.#logits = this.#engine.allocate(this.#pool.layout.dtype, rows, this.#config.vocabSize);
    return this.#logits;
  }
}
