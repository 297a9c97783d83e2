/** The passes of a model that are measured, ready to be run again and again at the same sizes. */
import type { RunOptions } from "../backends/backend.ts";
import { GlimtError } from "../errors.ts";
import { textPositions } from "../mrope/positions.ts";
import { type GridThw, numMergedTokens, numPatches } from "../processor/grid.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { stagePrograms } from "../runtime/compile-stages.ts";
import { answerOf, type SequenceSlice } from "../runtime/decoder.ts";
import { Sequence } from "../runtime/kv-pool.ts";
import type { Stages } from "../runtime/open-stages.ts";
import { GREEDY, PLAIN_STEP } from "../runtime/sampling-rows.ts";
import { blockTableColumns } from "../runtime/step-inputs.ts";
import { fillCaches } from "./fill-caches.ts";
import { addWork, type Extent, programWork, type Work } from "./work.ts";

export interface Pass {
  readonly program: VerifiedProgram;
  /** Of all runs of the program that make the pass, instruction by instruction. */
  readonly work: readonly Work[];
  run(options?: RunOptions): Promise<void>;
  /** Runs it once more. @throws when the results are not finite or all the same: then its times mean nothing */
  check(options?: RunOptions): Promise<void>;
  /** Gives back what it holds of the model's memory. */
  release(): void;
}

/** Ids that every vocabulary has. */
const idOf = (index: number) => ((index * 31 + 7) % 40) + 1;

/** A picture of this grid, of noise. */
export function visionPass({ encoder, engine, config, ...model }: Stages, gridThw: GridThw): Pass {
  const { vision } = stagePrograms(model);
  if (!vision) throw new GlimtError("MODEL_UNSUPPORTED", `${config.textOnly}`);
  const { patchSize, spatialMergeSize, inChannels, temporalPatchSize } = config.vision;
  const patches = numPatches(gridThw);
  const pixelValues = pixelNoise(patches * inChannels * temporalPatchSize * patchSize ** 2);
  const [frames, ...side] = gridThw;
  const inFrame = side[0] * side[1];
  const extents = Array.from({ length: frames }, () => ({ queries: inFrame, context: inFrame }));
  return {
    program: vision,
    work: programWork(vision, { symbols: { patches, frames }, extents }),
    run: async (options) => (await encoder.encode([{ gridThw, pixelValues }], options)).release(),
    async check(options) {
      const features = await encoder.encode([{ gridThw, pixelValues }], options);
      try {
        const last = features.deviceRows(numMergedTokens(gridThw, spatialMergeSize) - 1);
        const values = await engine.read(last.tensor, last.firstRow, 1);
        if (values.every((value) => value === values[0])) throw new Error("The features are all the same.");
      } finally {
        features.release();
      }
    },
    release() {},
  };
}

/** Values in about -2..2 from a fixed sequence. */
function pixelNoise(length: number): Float32Array {
  const values = new Float32Array(length);
  let state = 1;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[index] = state / 2 ** 30;
  }
  return values;
}

export interface PrefillSizes {
  readonly tokens: number;
  /** Most tokens in one run. */
  readonly chunk: number;
}

/** A prompt of text alone, read into an empty sequence; one token comes out. @throws OUT_OF_MEMORY */
export function prefillPass({ decoder, pool, ...model }: Stages, { tokens, chunk }: PrefillSizes): Pass {
  const program = stagePrograms(model).decoder;
  const sequence = takeSequences(pool, 1, tokens)[0] as Sequence;
  const starts = Array.from({ length: Math.ceil(tokens / chunk) }, (_, index) => index * chunk);
  const run = async (options: RunOptions = {}, wantsLogits = false) => {
    sequence.length = 0;
    let logits: Float32Array | undefined;
    for (const start of starts) {
      const count = Math.min(chunk, tokens - start);
      const ends = start + count === tokens;
      const slice: SequenceSlice = {
        sequence,
        inputIds: Array.from({ length: count }, (_, index) => idOf(start + index)),
        positionIds: textPositions(start, count, 0),
        ...(ends && { sampling: [GREEDY], wantsLogits }),
      };
      const [result] = await decoder.forward([slice], options);
      [logits] = answerOf(result).logits;
    }
    return logits;
  };
  const work = starts.map((start) => {
    const queries = Math.min(chunk, tokens - start);
    const context = start + queries;
    const blocks = blockTableColumns(sequence.blockTable.length);
    const symbols = stepSymbols({
      tokens: queries,
      blocks,
      pages: pool.numPages,
      logits: +(context === tokens),
    });
    return programWork(program, { symbols, extents: [{ queries, context }] });
  });
  return {
    program,
    work: addWork(work),
    run: async (options) => void (await run(options)),
    check: async (options) => checkLogits([await run(options, true)]),
    release: () => sequence.release(),
  };
}

export interface DecodeSizes {
  /** Tokens in the cache of each sequence, the new one included. */
  readonly context: number;
  /** Sequences that are decoded together. */
  readonly batch: number;
}

/** A greedy step over caches full of noise; the next step is the same again. @throws OUT_OF_MEMORY */
export function decodePass(
  { decoder, pool, engine, ...model }: Stages,
  { context, batch }: DecodeSizes,
): Pass {
  const program = stagePrograms(model).decoder;
  const sequences = takeSequences(pool, batch, context);
  fillCaches(engine, pool);
  const run = async (options: RunOptions = {}, wantsLogits = false) => {
    const slices = sequences.map((sequence, index): SequenceSlice => {
      sequence.length = context - 1;
      const positionIds = textPositions(context - 1, 1, 0);
      return { sequence, inputIds: [idOf(index)], positionIds, wantsLogits, sampling: [GREEDY] };
    });
    return (await decoder.forward(slices, options)).map((result) => answerOf(result).logits[0]);
  };
  const extents: Extent[] = sequences.map(() => ({ queries: 1, context }));
  const blocks = blockTableColumns(Math.ceil(context / pool.layout.pageSize));
  const symbols = stepSymbols({
    tokens: batch,
    sequences: batch,
    blocks,
    pages: pool.numPages,
    logits: batch,
  });
  return {
    program,
    work: programWork(program, { symbols, extents }),
    run: async (options) => void (await run(options)),
    check: async (options) => checkLogits(await run(options, true)),
    release() {
      for (const sequence of sequences) sequence.release();
    },
  };
}

/** @throws OUT_OF_MEMORY, and none is taken */
function takeSequences(pool: Stages["pool"], count: number, length: number): Sequence[] {
  // At once: a pool that grows bit by bit takes half as much again.
  const pages = pool.take(count * Math.ceil(length / pool.layout.pageSize));
  pool.giveBack(pages);
  const sequences = Array.from({ length: count }, () => new Sequence(pool));
  for (const sequence of sequences) sequence.reserve(length);
  return sequences;
}

function stepSymbols(sizes: {
  tokens: number;
  sequences?: number;
  blocks: number;
  pages: number;
  logits: number;
}) {
  return { sequences: 1, slab: 0, features: 0, ...PLAIN_STEP, ...sizes };
}

/** @throws when a value is not finite, or all are the same */
function checkLogits(logits: readonly (Float32Array | undefined)[]): void {
  for (const [index, values] of logits.entries()) {
    if (!values?.every(Number.isFinite) || values.every((value) => value === values[0])) {
      throw new Error(`The logits of sequence ${index} are not finite, or all the same.`);
    }
  }
}
