/** Runs the decoder program over slices of one or more sequences. */
import type { DeviceTensor, Engine, Executable, RunOptions } from "../backends/backend.ts";
import type { TextConfig } from "../config/types.ts";
import type { PositionIds } from "../mrope/positions.ts";
import { textRotary } from "../mrope/rotary.ts";
import { fromFloat32, toFloat32 } from "../tensor/convert.ts";
import type { KvPool, Sequence } from "./kv-pool.ts";
import { GREEDY, type SamplingRow, samplingInputs } from "./sampling-rows.ts";

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
  /** Whether the logits of the last token are read back: vocabSize values, where a token is one. */
  readonly wantsLogits?: boolean | undefined;
  /** What the token after the last one is chosen by; without it none is. */
  readonly sampling?: SamplingRow | undefined;
}

/** For each slice that asks, in the order of the slices. */
export interface StepResult {
  /** [vocabSize] each. */
  readonly logits: readonly Float32Array[];
  /** -1 where the largest logit is not finite or one is NaN. */
  readonly tokens: readonly number[];
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
  readonly #rotary: ReturnType<typeof textRotary>;
  #logits: DeviceTensor | null = null;

  constructor(engine: Engine, executable: Executable, config: TextConfig, pool: KvPool) {
    this.#engine = engine;
    this.#executable = executable;
    this.#config = config;
    this.#pool = pool;
    this.#rotary = textRotary(config.rope);
  }

  /** Runs one step. At most one slice may bring features. */
  async forward(slices: readonly SequenceSlice[], options: RunOptions = {}): Promise<StepResult> {
    for (const { sequence, inputIds } of slices) sequence.reserve(inputIds.length);
    // Rows whose logits are read back come first: they are read in one go.
    const reading = slices.filter(({ wantsLogits }) => wantsLogits);
    const ending = [...reading, ...slices.filter(({ wantsLogits, sampling }) => !wantsLogits && sampling)];
    const inputs = this.#inputs(slices, ending);
    const logits = this.#logitsTensor(Math.max(1, ending.length));
    const tokens = new Int32Array(ending.length);
    const features = this.#features(slices);
    const symbols = {
      tokens: inputs.inputIds.length,
      sequences: slices.length,
      blocks: inputs.blockTable.length / slices.length,
      pages: this.#pool.numPages,
      features: features.rows.length,
      logits: ending.length,
      penalised: inputs.penalised.length,
    };
    const buffers = {
      ...inputs,
      ...this.#pool.bindings(),
      features: features.values,
      featureRows: features.rows,
      logits,
      tokens,
    };
    await this.#engine.run(this.#executable, { symbols, buffers }, options);
    for (const { sequence, inputIds } of slices) sequence.length += inputIds.length;
    return {
      logits: reading.length > 0 ? await this.#readLogits(logits, reading.length) : [],
      tokens: slices
        .filter(({ sampling }) => sampling)
        .map((slice) => tokens[ending.indexOf(slice)] as number),
    };
  }

  async #readLogits(tensor: DeviceTensor, rows: number): Promise<Float32Array[]> {
    const { vocabSize } = this.#config;
    const values = toFloat32(tensor.dtype, await this.#engine.read(tensor, 0, rows));
    return Array.from({ length: rows }, (_, row) => values.slice(row * vocabSize, (row + 1) * vocabSize));
  }

  /** @param ending slices whose last token goes through the head, in the order of its rows. */
  #inputs(slices: readonly SequenceSlice[], ending: readonly SequenceSlice[]) {
    const tokens = slices.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
    const inputIds = new Int32Array(tokens);
    const slots = new Int32Array(tokens);
    const positionIds: PositionIds = [new Int32Array(tokens), new Int32Array(tokens), new Int32Array(tokens)];
    const cuSeqlens = new Int32Array(slices.length + 1);
    const contextLens = new Int32Array(slices.length);
    const blocks = blockTableColumns(Math.max(...slices.map(({ sequence }) => sequence.blockTable.length)));
    const blockTable = new Int32Array(slices.length * blocks);
    slices.forEach((slice, index) => {
      const { sequence } = slice;
      const first = cuSeqlens[index] as number;
      const count = slice.inputIds.length;
      inputIds.set(slice.inputIds, first);
      for (let token = 0; token < count; token++) {
        slots[first + token] = sequence.slot(sequence.length + token);
      }
      slice.positionIds.forEach((axis, a) => {
        positionIds[a]?.set(axis, first);
      });
      cuSeqlens[index + 1] = first + count;
      contextLens[index] = sequence.length + count;
      blockTable.set(sequence.blockTable, index * blocks);
    });
    return {
      inputIds,
      slots,
      ...this.#rotary(positionIds),
      cuSeqlens,
      contextLens,
      blockTable,
      logitRows: Int32Array.from(ending, (slice) => (cuSeqlens[slices.indexOf(slice) + 1] as number) - 1),
      ...samplingInputs(ending.map(({ sampling }) => sampling ?? GREEDY)),
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
