/** Runs the decoder program over slices of one or more sequences. */
import type { DeviceRows, DeviceTensor, Engine, Executable, RunOptions } from "../backends/backend.ts";
import type { TextConfig } from "../config/types.ts";
import type { GlimtError } from "../errors.ts";
import type { PositionIds } from "../mrope/positions.ts";
import { textRotary } from "../mrope/rotary.ts";
import { toFloat32 } from "../tensor/elements.ts";
import { type AttendingRow, attendingInputs, attentionOf, tellsAttention } from "./attending-rows.ts";
import {
  type DraftedSlice,
  type Drafting,
  draftedFor,
  draftingInputs,
  draftingSymbols,
  draftOutputs,
  draftsOf,
} from "./drafting-inputs.ts";
import type { FeatureSlab } from "./feature-slab.ts";
import { KeptTensor } from "./kept-tensor.ts";
import type { KvPool, Sequence } from "./kv-pool.ts";
import { isOutOfMemory, outOfMemory } from "./out-of-memory.ts";
import { settled, shareOfAll } from "./overlapping-runs.ts";
import { GREEDY, type SamplingRow, samplingInputs, samplingSymbols } from "./sampling-rows.ts";
import { blockTableColumns, type SliceFeatures, stepInputs, stepSymbols } from "./step-inputs.ts";

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
  /** Where the model's MTP layer is to draft the tokens that follow; where it was loaded. */
  readonly drafting?: Drafting | undefined;
  /** Whether it is told what the rows of `sampling` attend to; where the programs can tell. */
  readonly wantsAttention?: boolean | undefined;
}

/** What a slice asked for, in the order of its rows. */
export interface SliceAnswer {
  /** [vocabSize] each; none where they were not wanted. */
  readonly logits: readonly Float32Array[];
  /** One a row of `sampling`: -1 when the largest logit is not finite or one is NaN. */
  readonly tokens: readonly number[];
  /** Tokens that may follow the last of `tokens` that is true: the first that the slice did not have. */
  readonly drafts?: readonly number[];
  /** One a row of `sampling`, where it was wanted: the weights of the keys up to its own in the last layer. */
  readonly attention?: readonly Float32Array[];
  readonly error?: undefined;
}

/** Or why it was not run: memory that it needed was not there. Its sequence is as long as before then. */
export type SliceResult = SliceAnswer | { readonly error: GlimtError };

/** @throws the slice's error */
export function answerOf(result: SliceResult | undefined): SliceAnswer {
  if (!result || result.error) throw result?.error;
  return result;
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
  readonly #logits: KeptTensor;
  /** The program of steps that ask for drafts. */
  #drafting: Executable | null = null;
  /** What executables are bound to. */
  readonly #bound = new Map<Executable, Bound>();

  constructor(engine: Engine, executable: Executable, config: TextConfig, pool: KvPool, slab: FeatureSlab) {
    this.#engine = engine;
    this.#executable = executable;
    this.#config = config;
    this.#pool = pool;
    this.#slab = slab;
    this.#rotary = textRotary(config.rope);
    this.#logits = new KeptTensor(engine, config.vocabSize, "logits");
  }

  /** Steps that ask for drafts run this program. */
  draftWith(executable: Executable): void {
    this.#drafting = executable;
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
      const { sequence, inputIds, drafting } = slice;
      const error = outOfMemory(() => sequence.reserve(inputIds.length));
      if (error) results.set(slice, { error });
      // Where there is no room for guesses there are fewer.
      else if (drafting) sequence.reserveBlank(inputIds.length + drafting.most);
      return !error;
    });
    await this.#runGroup(reserved, options, results);
    return slices.map((slice) => results.get(slice) as SliceResult);
  }

  /** Takes the memory that reading a prompt needs: its pages, and that of its steps. @throws OUT_OF_MEMORY */
  reserve({ sequence, tokens, features, prefillChunk }: PromptSizes): void {
    sequence.reserve(tokens);
    const step = Math.min(tokens, prefillChunk);
    this.#bind(this.#executable, this.#logits.ofRows(1));
    const symbols = {
      tokens: step,
      sequences: 1,
      blocks: blockTableColumns(sequence.blockTable.length),
      pages: this.#pool.numPages,
      slab: features,
      features: Math.min(step, features),
      logits: 1,
      adjusted: 1,
      changes: tokens,
      masks: 1,
      attending: 1,
    };
    this.#engine.reserve?.(this.#executable, symbols, []);
  }

  async #runGroup(
    slices: readonly SequenceSlice[],
    options: RunOptions,
    results: Map<SequenceSlice, SliceResult>,
    withDrafts = true,
  ): Promise<void> {
    if (slices.length === 0) return;
    const drafting = withDrafts && slices.some(({ drafting }) => drafting) ? this.#drafting : null;
    try {
      const found = await this.#run(slices, options, drafting);
      for (const [index, slice] of slices.entries()) results.set(slice, found[index] as SliceResult);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      // The program that drafts takes more memory than the plain one.
      if (drafting) return this.#runGroup(slices, options, results, false);
      if (slices.length === 1) {
        results.set(slices[0] as SequenceSlice, { error });
        return;
      }
      const half = Math.ceil(slices.length / 2);
      await this.#runGroup(slices.slice(0, half), options, results, withDrafts);
      await this.#runGroup(slices.slice(half), options, results, withDrafts);
    }
  }

  /** The step, in as many runs as the engine has under way at a time: their rows have the same bits in any of them. */
  async #run(
    slices: readonly SequenceSlice[],
    options: RunOptions,
    drafting: Executable | null,
  ): Promise<SliceAnswer[]> {
    const parts = splitStep(slices, this.#engine.overlappingRuns ?? 1);
    const chosen = parts.map(chosenRows);
    const firstRows = chosen.map((_, part) =>
      chosen.slice(0, part).reduce((sum, { rows }) => sum + rows.length, 0),
    );
    const numRows = chosen.reduce((sum, { rows }) => sum + rows.length, 0);
    const logits = this.#logits.ofRows(numRows);
    const executable = drafting ?? this.#executable;
    this.#bind(executable, logits);
    const report = shareOfAll(parts.length, options.onProgress);
    const found = await settled(
      parts.map((part, index) => {
        const { rows } = chosen[index] as ChosenRows;
        const own = { tensor: logits, firstRow: firstRows[index] as number, rows: rows.length };
        const buffers = parts.length > 1 ? { logits: own } : {};
        return this.#runPart(executable, part, chosen[index] as ChosenRows, buffers, {
          ...options,
          onProgress: report(index),
        });
      }),
    );
    const answers: SliceAnswer[] = [];
    for (const [part, ofPart] of parts.entries()) {
      const { first, read } = chosen[part] as ChosenRows;
      const values = read > 0 ? await this.#readLogits(logits, firstRows[part] as number, read) : [];
      const { tokens, drafts, attention } = found[part] as RunAnswer;
      for (const [index, slice] of ofPart.entries()) {
        const { wantsLogits, sampling, drafting: asked } = slice;
        const at = first[index] as number;
        answers.push({
          logits: wantsLogits ? values.slice(at, at + (sampling?.length ?? 1)) : [],
          tokens: Array.from(tokens.subarray(at, at + (sampling?.length ?? 0))),
          ...(asked && drafts && { drafts: drafts(index) }),
          ...(slice.wantsAttention && { attention: attention(index) }),
        });
      }
    }
    for (const { sequence, inputIds } of slices) sequence.length += inputIds.length;
    return answers;
  }

  async #runPart(
    executable: Executable,
    slices: readonly SequenceSlice[],
    chosen: ChosenRows,
    bound: Readonly<Record<string, DeviceRows>>,
    options: RunOptions,
  ): Promise<RunAnswer> {
    const inputs = this.#inputs(slices, chosen);
    const tokens = new Int32Array(chosen.rows.length);
    const drafts = executable === this.#drafting ? this.#drafts(slices, chosen, inputs) : undefined;
    const attending = this.#attending(executable, slices, chosen, inputs);
    const usesFeatures = inputs.featureRows.length > 0 || (drafts?.symbols.nextFeatures ?? 0) > 0;
    const slab = usesFeatures ? this.#slab.tensor : this.#slab.nothing;
    const symbols = {
      ...stepSymbols(inputs, this.#pool.numPages, slab.rows),
      ...samplingSymbols(inputs, this.#config.vocabSize),
      ...drafts?.symbols,
      ...attending.symbols,
    };
    const features = slab.rows > 0 && { features: slab };
    const buffers = { ...inputs, tokens, ...bound, ...drafts?.buffers, ...attending.buffers, ...features };
    await this.#engine.run(executable, { symbols, buffers }, options);
    return { tokens, drafts: drafts?.of, attention: attending.of };
  }

  /**
   * Binds what stays from step to step. Steps without features are bound to no slab, so that they are the same whatever
   * becomes of it.
   */
  #bind(executable: Executable, logits: DeviceTensor) {
    const { version } = this.#pool;
    const known = this.#bound.get(executable);
    if (known?.version === version && known.logits === logits) return;
    const features = this.#slab.nothing;
    this.#engine.bind(executable, { ...this.#pool.bindings(executable.program), features, logits });
    this.#bound.set(executable, { version, logits });
  }

  /** What the program that drafts has beside the plain one's, and where the drafts of a slice are when it has run. */
  #drafts(slices: readonly SequenceSlice[], chosen: ChosenRows, inputs: ReturnType<typeof stepInputs>) {
    const drafted: DraftedSlice[] = slices.map((slice, index) => ({
      ...slice,
      start: slice.sequence.length,
      firstChosen: chosen.first[index] ?? 0,
      numChosen: chosen.rows.filter((row) => row.slice === index).length,
    }));
    const members = draftedFor(drafted);
    const { hiddenSize } = this.#config;
    const more = draftingInputs(drafted, members, inputs, chosen.rows.length, hiddenSize, this.#rotary);
    const outputs = draftOutputs(members);
    return {
      symbols: draftingSymbols(more, members),
      buffers: { ...more, ...outputs },
      of: (slice: number) => draftsOf(slice, members, outputs),
    };
  }

  /** What a program that tells what rows attend to has beside the others', and what it has told of a slice's. */
  #attending(
    { program }: Executable,
    slices: readonly SequenceSlice[],
    { rows }: ChosenRows,
    {
      logitRows,
      blockTable,
      contextLens,
    }: Readonly<Record<"logitRows" | "blockTable" | "contextLens", Int32Array>>,
  ) {
    if (!tellsAttention(program)) return { of: () => [] };
    const asked = [...rows.entries()].filter(([, { slice }]) => slices[slice]?.wantsAttention);
    const attending = asked.map(([index, { slice, fromEnd }]): AttendingRow => {
      const { sequence, inputIds } = slices[slice] as SequenceSlice;
      return {
        row: logitRows[index] as number,
        sequence: slice,
        keys: sequence.length + inputIds.length - fromEnd + 1,
      };
    });
    const columns = (blockTable.length / contextLens.length) * this.#pool.layout.pageSize;
    const attention = new Float32Array(attending.length * columns);
    return {
      symbols: { attending: attending.length },
      buffers: { ...attendingInputs(attending), attention },
      of: (slice: number) => attentionOf(slice, attending, attention, columns),
    };
  }

  async #readLogits(tensor: DeviceTensor, first: number, rows: number): Promise<Float32Array[]> {
    const { vocabSize } = this.#config;
    const values = toFloat32(tensor.dtype, await this.#engine.read(tensor, first, rows));
    return Array.from({ length: rows }, (_, row) => values.slice(row * vocabSize, (row + 1) * vocabSize));
  }

  #inputs(slices: readonly SequenceSlice[], chosen: ChosenRows) {
    const rows = slices.map((slice) => ({ ...slice, start: slice.sequence.length }));
    const inputs = stepInputs(rows, this.#rotary);
    return {
      ...inputs,
      logitRows: Int32Array.from(
        chosen.rows,
        ({ slice, fromEnd }) => (inputs.cuSeqlens[slice + 1] as number) - fromEnd,
      ),
      ...samplingInputs(
        chosen.rows.map(({ sampling }) => sampling),
        this.#config.vocabSize,
      ),
    };
  }

  /** Frees what it allocated for itself; it may be used again. */
  release(): void {
    this.#logits.release();
  }
}

/** What one run gave. */
interface RunAnswer {
  /** Of each chosen row. */
  readonly tokens: Int32Array;
  /** Of each of its slices, where the program makes some. */
  readonly drafts?: ((slice: number) => readonly number[]) | undefined;
  /** Of each of its slices, what its rows attend to that it asked about. */
  readonly attention: (slice: number) => Float32Array[];
}

interface Bound {
  /** The pool's. */
  readonly version: number;
  readonly logits: DeviceTensor;
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

/** Neighbouring slices in up to `count` parts of about as many tokens, none of them empty. */
function splitStep(slices: readonly SequenceSlice[], count: number): SequenceSlice[][] {
  const tokens = slices.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
  const parts: SequenceSlice[][] = [];
  let before = 0;
  for (const slice of slices) {
    // By where its middle lies.
    const part = Math.floor(((before + slice.inputIds.length / 2) * count) / tokens);
    const last = parts.at(-1);
    if (last && part < parts.length) last.push(slice);
    else parts.push([slice]);
    before += slice.inputIds.length;
  }
  return parts;
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
