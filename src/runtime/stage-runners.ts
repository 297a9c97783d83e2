/** What runs the program of each stage. */
import type { DeviceWeight, Engine, Executable } from "../backends/backend.ts";
import type { ModelConfig } from "../config/types.ts";
import type { StageName } from "../models/stages.ts";
import type { EncoderBudget } from "../mrope/vision-metadata.ts";
import type { CompiledStage } from "./compile-stages.ts";
import { Decoder } from "./decoder.ts";
import type { EncoderCache } from "./encoder-cache.ts";
import type { FeatureSlab } from "./feature-slab.ts";
import type { KvPool } from "./kv-pool.ts";
import { VisionEncoder } from "./vision-encoder.ts";

export interface StageRunners {
  readonly encoder: VisionEncoder;
  readonly decoder: Decoder;
  /** The decoder's program that drafts, of a model that was loaded with its MTP layer. */
  readonly drafting?: Executable;
}

/** The runners alone, of something that holds them among others. */
export function runnersOf({ encoder, decoder, drafting }: StageRunners): StageRunners {
  return { encoder, decoder, ...(drafting && { drafting }) };
}

/** Frees what they allocated for themselves; they may be used again. */
export function releaseRunners({ encoder, decoder }: Partial<StageRunners>): void {
  encoder?.release();
  decoder?.release();
}

/** A decoder drafts with the program beside it. */
export function joinDrafting({ decoder, drafting }: StageRunners): void {
  if (drafting) decoder.draftWith(drafting);
}

/** What all runners of a model share. */
export interface SharedMemory {
  readonly engine: Engine;
  readonly config: ModelConfig;
  readonly pool: KvPool;
  readonly slab: FeatureSlab;
  readonly encoderCache: EncoderCache;
  /** Sizes that the encoder pads its runs to, ascending. */
  readonly encoderBudgets: readonly EncoderBudget[];
}

const RUNNERS: Readonly<
  Record<StageName, (executable: Executable, shared: SharedMemory) => Partial<StageRunners>>
> = {
  vision: (executable, { engine, config, slab, encoderBudgets, encoderCache }) => ({
    encoder: new VisionEncoder(engine, executable, config.vision, slab, encoderBudgets, encoderCache),
  }),
  decoder: (executable, { engine, config, pool, slab }) => ({
    decoder: new Decoder(engine, executable, config.text, pool, slab),
  }),
  drafting: (executable) => ({ drafting: executable }),
};

/** Loads the programs of these stages. @returns their runners: all, where the stages are all of a model. */
export function openRunners(
  stages: readonly Pick<CompiledStage, "name" | "program">[],
  weights: ReadonlyMap<string, DeviceWeight>,
  shared: SharedMemory,
): Partial<StageRunners> {
  const opened = stages.map(({ name, program }) =>
    RUNNERS[name](shared.engine.load(program, weights), shared),
  );
  return Object.assign({}, ...opened);
}
