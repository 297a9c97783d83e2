/** Drafts of the layer that predicts a token further: what the model read in a step goes through it, and it goes on alone. */
import type { DeviceTensor, Engine, Executable, RunOptions } from "../backends/backend.ts";
import type { TextConfig } from "../config/types.ts";
import { textRotary } from "../mrope/rotary.ts";
import type { FeatureSlab } from "./feature-slab.ts";
import { KeptTensor } from "./kept-tensor.ts";
import type { KvPool } from "./kv-pool.ts";
import { type SamplingRow, samplingInputs, samplingSymbols } from "./sampling-rows.ts";
import { type StepRows, stepInputs, stepSymbols } from "./step-inputs.ts";

/** Rows that the model has read, with the ids and features of the row behind each. */
export interface DraftedRows extends StepRows {
  /** The row of the hidden states that the first belongs to; the others follow. */
  readonly firstHidden: number;
  /** What drafts are chosen by, a row each; none where rows are read for later drafts alone. */
  readonly sampling: readonly SamplingRow[];
}

export class MtpDrafter {
  readonly #engine: Engine;
  readonly #executable: Executable;
  readonly #pool: KvPool;
  readonly #slab: FeatureSlab;
  readonly #hiddenSize: number;
  readonly #vocabSize: number;
  readonly #rotary: ReturnType<typeof textRotary>;
  readonly #logits: KeptTensor;
  /** One is read while the other is written. */
  readonly #states: readonly [KeptTensor, KeptTensor];

  constructor(engine: Engine, executable: Executable, config: TextConfig, pool: KvPool, slab: FeatureSlab) {
    this.#engine = engine;
    this.#executable = executable;
    this.#pool = pool;
    this.#slab = slab;
    this.#hiddenSize = config.hiddenSize;
    this.#vocabSize = config.vocabSize;
    this.#rotary = textRotary(config.rope);
    this.#logits = new KeptTensor(engine, config.vocabSize, "logits");
    // Each is written as `state` and then read as `hidden`.
    const state = () => new KeptTensor(engine, config.hiddenSize, "hidden");
    this.#states = [state(), state()];
  }

  /**
   * Reads the rows into the layer's cache, and drafts as many tokens of each sequence as it has rows to choose by; fewer
   * where there is nothing to choose from. The sequences have pages for them.
   *
   * @param hidden the hidden states of the step [rows, hiddenSize]
   */
  async draft(
    slices: readonly DraftedRows[],
    hidden: DeviceTensor,
    { signal }: RunOptions = {},
  ): Promise<number[][]> {
    const drafts = slices.map((): number[] => []);
    let rows = slices.map((slice, index) => ({ ...slice, index }));
    let from = hidden;
    for (let step = 0; rows.length > 0; step++) {
      const choosing = rows.filter(({ sampling }) => sampling.length > step);
      const to = (this.#states[step % 2] as KeptTensor).ofRows(choosing.length);
      const tokens = await this.#run(rows, step, from, to, signal);
      from = to;
      const next = choosing.flatMap((slice, place) => {
        const token = tokens[place] as number;
        if (token < 0) return [];
        drafts[slice.index]?.push(token);
        return slice.sampling.length > step + 1 ? [{ ...behind(slice, token), firstHidden: place }] : [];
      });
      rows = next;
    }
    return drafts;
  }

  async #run(
    slices: readonly DraftedRows[],
    step: number,
    hidden: DeviceTensor,
    state: DeviceTensor,
    signal: AbortSignal | undefined,
  ): Promise<Int32Array> {
    const inputs = stepInputs(slices, this.#rotary);
    const { cuSeqlens } = inputs;
    const choosing = slices.flatMap(({ sampling }, index) => (sampling.length > step ? [index] : []));
    const hiddenRows = new Int32Array(inputs.inputIds.length);
    slices.forEach(({ firstHidden, inputIds }, index) => {
      for (let row = 0; row < inputIds.length; row++) {
        hiddenRows[(cuSeqlens[index] as number) + row] = firstHidden + row;
      }
    });
    const firstRows = Int32Array.from(
      slices.flatMap(({ start }, index) => (start === 0 ? [cuSeqlens[index] as number] : [])),
    );
    const sampling = samplingInputs(
      choosing.map((index) => slices[index]?.sampling[step] as SamplingRow),
      this.#vocabSize,
    );
    const slab = inputs.featureRows.length > 0 ? this.#slab.tensor : this.#slab.nothing;
    const tokens = new Int32Array(choosing.length);
    const symbols = {
      ...stepSymbols(inputs, this.#pool.numPages, slab.rows),
      states: hidden.rows,
      firsts: firstRows.length,
      ...samplingSymbols(sampling, this.#vocabSize),
    };
    const buffers = {
      ...inputs,
      ...sampling,
      ...this.#pool.bindings(this.#executable.program),
      features: slab,
      hidden,
      hiddenRows,
      zeros: new Float32Array(firstRows.length * this.#hiddenSize),
      firstRows,
      logitRows: Int32Array.from(choosing, (index) => (cuSeqlens[index + 1] as number) - 1),
      logits: this.#logits.ofRows(choosing.length),
      tokens,
      state,
    };
    await this.#engine.run(this.#executable, { symbols, buffers }, { signal });
    return tokens;
  }

  /** Frees what it allocated for itself; it may be used again. */
  release(): void {
    this.#logits.release();
    for (const state of this.#states) state.release();
  }
}

/** The row behind the last: a draft, of text. */
function behind<T extends DraftedRows>(slice: T, token: number): T {
  const { start, inputIds, positionIds } = slice;
  const position = ((positionIds[0].at(-1) as number) ?? 0) + 1;
  const axis = () => Int32Array.of(position);
  return {
    ...slice,
    start: start + inputIds.length,
    inputIds: [token],
    positionIds: [axis(), axis(), axis()],
    features: undefined,
  };
}
