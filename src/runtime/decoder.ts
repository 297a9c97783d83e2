/** Runs the decoder program over slices of one or more sequences. */
import type { DeviceTensor, Engine, Executable, RunOptions } from "../backends/backend.ts";
import type { TextConfig } from "../config/types.ts";
import type { GlimtError } from "../errors.ts";
import type { PositionIds } from "../mrope/positions.ts";
import { textRotary } from "../mrope/rotary.ts";
import { toFloat32 } from "../tensor/elements.ts";
import type { FeatureSlab } from "./feature-slab.ts";
import type { KvPool, Sequence } from "./kv-pool.ts";
import { isOutOfMemory, outOfMemory } from "./out-of-memory.ts";
import { GREEDY, type SamplingRow, samplingInputs } from "./sampling-rows.ts";

/** Vision features that stand in for the embeddings of some rows of a slice: as many sources as rows. */
export interface SliceFeatures {
  /** Rows of the feature slab. */
  readonly sources: Int32Array;
  /** Rows of the slice, each once. */
  readonly rows: Int32Array;
}

/** New tokens of one sequence; its keys and values are appended to the cache. */
export interface SequenceSlice {
  readonly sequence: Sequence;
  readonly inputIds: ArrayLike<number>;
  /** Three axes of inputIds.length positions each. */
  readonly positionIds: PositionIds;
  readonly features?: SliceFeatures | undefined;
  /** Whether logits are read back, vocabSize values a row: of the rows of `sampling`, without those of the last token. */
  readonly wantsLogits?: boolean | undefined;
  /**
   * What the tokens after its last ones are chosen by, a row each; the last row is that of the token after the whole slice.
   * At most as many as tokens; without them none is chosen.
   */
  readonly sampling?: readonly SamplingRow[] | undefined;
}

/** What a slice asked for, in the order of its rows. */
export interface SliceAnswer {
  /** [vocabSize] each; none where they were not wanted. */
  readonly logits: readonly Float32Array[];
  /** One a row of `sampling`: -1 when the largest logit is not finite or one is NaN. */
  readonly tokens: readonly number[];
  readonly error?: undefined;
}

/** Or why it was not run: memory that it needed was not there. Its sequence is as long as before then. */
export type SliceResult = SliceAnswer | { readonly error: GlimtError };

/** @throws the slice's error */
export function answerOf(result: SliceResult | undefined): SliceAnswer {
  if (!result || result.error) throw result?.error;
  return result;
}

/**
 * Columns of a block table for sequences of up to `pages` pages: few widths, so that what a backend prepares for the
 * sizes of a step serves many steps. Columns past a sequence's pages are not read.
 */
export function blockTableColumns(pages: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, pages)));
}

/** A prompt that is about to be read, of a sequence that has no tokens yet. */
export interface PromptSizes {
  readonly sequence: Sequence;
  readonly tokens: number;
  /** Of them, those that stand for vision features. */
  readonly features: number;
  /** Most tokens of a step. */
  readonly prefillChunk: number;
}

export class Decoder {
  readonly #engine: Engine;
  readonly #executable: Executable;
  readonly #config: TextConfig;
  readonly #pool: KvPool;
  readonly #slab: FeatureSlab;
  readonly #rotary: ReturnType<typeof textRotary>;
  #logits: DeviceTensor | null = null;
  /** The pool's version and the logits that the executable is bound to. */
  #bound: { readonly version: number; readonly logits: DeviceTensor } | null = null;

  constructor(engine: Engine, executable: Executable, config: TextConfig, pool: KvPool, slab: FeatureSlab) {
    this.#engine = engine;
    this.#executable = executable;
    this.#config = config;
    this.#pool = pool;
    this.#slab = slab;
    this.#rotary = textRotary(config.rope);
  }

  /**
   * Runs one step: new tokens, at least one each, of any number of sequences, each sequence once. A slice whose pages do
   * not fit memory fails alone; where the run itself runs out of it, halves of its slices are tried, down to one by one.
   *
   * @returns a result a slice. @throws what a run throws, but for OUT_OF_MEMORY; whether a sequence has grown is open
   * then.
   */
  async forward(slices: readonly SequenceSlice[], options: RunOptions = {}): Promise<SliceResult[]> {
    checkSlices(slices);
    const results = new Map<SequenceSlice, SliceResult>();
    const reserved = slices.filter((slice) => {
      const error = outOfMemory(() => slice.sequence.reserve(slice.inputIds.length));
      if (error) results.set(slice, { error });
      return !error;
    });
    await this.#runGroup(reserved, options, results);
    return slices.map((slice) => results.get(slice) as SliceResult);
  }

  /** Takes the memory that reading a prompt needs: its pages, and that of its steps. @throws OUT_OF_MEMORY */
  reserve({ sequence, tokens, features, prefillChunk }: PromptSizes): void {
    sequence.reserve(tokens);
    const logits = this.#logitsTensor(1);
    this.#bind(logits);
    const step = Math.min(tokens, prefillChunk);
    const symbols = {
      tokens: step,
      sequences: 1,
      blocks: blockTableColumns(sequence.blockTable.length),
      pages: this.#pool.numPages,
      slab: features,
      features: Math.min(step, features),
      logits: 1,
      penalised: tokens,
    };
    this.#engine.reserve?.(this.#executable, symbols, []);
  }

  async #runGroup(
    slices: readonly SequenceSlice[],
    options: RunOptions,
    results: Map<SequenceSlice, SliceResult>,
  ): Promise<void> {
    if (slices.length === 0) return;
    try {
      const found = await this.#run(slices, options);
      for (const [index, slice] of slices.entries()) results.set(slice, found[index] as SliceResult);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      if (slices.length === 1) {
        results.set(slices[0] as SequenceSlice, { error });
        return;
      }
      const half = Math.ceil(slices.length / 2);
      await this.#runGroup(slices.slice(0, half), options, results);
      await this.#runGroup(slices.slice(half), options, results);
    }
  }

  async #run(slices: readonly SequenceSlice[], options: RunOptions): Promise<SliceAnswer[]> {
    const chosen = chosenRows(slices);
    const inputs = this.#inputs(slices, chosen);
    const logits = this.#logitsTensor(Math.max(1, chosen.rows.length));
    const tokens = new Int32Array(chosen.rows.length);
    const slab = inputs.featureRows.length > 0 ? this.#slab.tensor : this.#slab.nothing;
    const symbols = {
      tokens: inputs.inputIds.length,
      sequences: slices.length,
      blocks: inputs.blockTable.length / slices.length,
      pages: this.#pool.numPages,
      slab: slab.rows,
      features: inputs.featureRows.length,
      logits: chosen.rows.length,
      penalised: inputs.penalised.length,
    };
    this.#bind(logits);
    const buffers = { ...inputs, tokens, ...(slab.rows > 0 && { features: slab }) };
    await this.#engine.run(this.#executable, { symbols, buffers }, options);
    const values = chosen.read > 0 ? await this.#readLogits(logits, chosen.read) : [];
    for (const { sequence, inputIds } of slices) sequence.length += inputIds.length;
    return slices.map(({ wantsLogits, sampling }, index) => {
      const first = chosen.first[index] as number;
      return {
        logits: wantsLogits ? values.slice(first, first + (sampling?.length ?? 1)) : [],
        tokens: Array.from(tokens.subarray(first, first + (sampling?.length ?? 0))),
      };
    });
  }

  /**
   * Binds what stays from step to step. Steps without features are bound to no slab, so that they are the same whatever
   * becomes of it.
   */
  #bind(logits: DeviceTensor): void {
    const { version } = this.#pool;
    if (this.#bound?.version === version && this.#bound.logits === logits) return;
    const features = this.#slab.nothing;
    this.#engine.bind(this.#executable, { ...this.#pool.bindings(), features, logits });
    this.#bound = { version, logits };
  }

  async #readLogits(tensor: DeviceTensor, rows: number): Promise<Float32Array[]> {
    const { vocabSize } = this.#config;
    const values = toFloat32(tensor.dtype, await this.#engine.read(tensor, 0, rows));
    return Array.from({ length: rows }, (_, row) => values.slice(row * vocabSize, (row + 1) * vocabSize));
  }

  #inputs(slices: readonly SequenceSlice[], chosen: ChosenRows) {
    const tokens = slices.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
    const inputIds = new Int32Array(tokens);
    const slots = new Int32Array(tokens);
    const positionIds: PositionIds = [new Int32Array(tokens), new Int32Array(tokens), new Int32Array(tokens)];
    const cuSeqlens = new Int32Array(slices.length + 1);
    const contextLens = new Int32Array(slices.length);
    const blocks = blockTableColumns(Math.max(...slices.map(({ sequence }) => sequence.blockTable.length)));
    const blockTable = new Int32Array(slices.length * blocks);
    const features = slices.reduce((sum, slice) => sum + (slice.features?.rows.length ?? 0), 0);
    const featureSources = new Int32Array(features);
    const featureRows = new Int32Array(features);
    let firstFeature = 0;
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
      if (!slice.features) return;
      featureSources.set(slice.features.sources, firstFeature);
      for (const row of slice.features.rows) featureRows[firstFeature++] = first + row;
    });
    return {
      inputIds,
      slots,
      ...this.#rotary(positionIds),
      cuSeqlens,
      contextLens,
      blockTable,
      featureSources,
      featureRows,
      logitRows: Int32Array.from(
        chosen.rows,
        ({ slice, fromEnd }) => (cuSeqlens[slice + 1] as number) - fromEnd,
      ),
      ...samplingInputs(chosen.rows.map(({ sampling }) => sampling)),
    };
  }

  /** Frees what it allocated for itself; it may be used again. */
  release(): void {
    if (this.#logits) this.#engine.free(this.#logits);
    this.#logits = null;
  }

  #logitsTensor(rows: number): DeviceTensor {
    if (this.#logits && this.#logits.rows >= rows) return this.#logits;
    this.release();
    this.#logits = this.#engine.allocate(this.#engine.backend.activationDType, rows, this.#config.vocabSize);
    return this.#logits;
  }
}

/** A row that goes through the head. */
interface ChosenRow {
  /** The number of its slice. */
  readonly slice: number;
  /** 1 is the slice's last token. */
  readonly fromEnd: number;
  readonly sampling: SamplingRow;
}

interface ChosenRows {
  readonly rows: readonly ChosenRow[];
  /** Of each slice, its first among them. */
  readonly first: readonly number[];
  /** Rows whose logits are read back. They come first, to be read in one go. */
  readonly read: number;
}

function chosenRows(slices: readonly SequenceSlice[]): ChosenRows {
  const rows: ChosenRow[] = [];
  const first: number[] = [];
  const add = (wanted: boolean) => {
    for (const [slice, { wantsLogits = false, sampling }] of slices.entries()) {
      if (wantsLogits !== wanted) continue;
      first[slice] = rows.length;
      const ofSlice = sampling ?? (wanted ? [GREEDY] : []);
      for (const [row, sampling] of ofSlice.entries()) {
        rows.push({ slice, fromEnd: ofSlice.length - row, sampling });
      }
    }
  };
  add(true);
  const read = rows.length;
  add(false);
  return { rows, first, read };
}

/** They would answer one sequence with another's rows. */
function checkSlices(slices: readonly SequenceSlice[]): void {
  if (slices.some(({ inputIds }) => inputIds.length === 0))
    throw new Error("A step has a slice of no tokens.");
  if (slices.some(({ inputIds, sampling }) => (sampling?.length ?? 0) > inputIds.length))
    throw new Error("A step has a slice with more rows to choose by than tokens.");
  if (new Set(slices.map(({ sequence }) => sequence)).size < slices.length) {
    throw new Error("A step has two slices of one sequence.");
  }
}
