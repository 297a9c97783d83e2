/** A small model of seeded weights on a backend, and slices for steps of it. */
import type { Backend } from "../../src/backends/backend.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { ocrConfig } from "../../src/conformance/model-configs.ts";
import { Random } from "../../src/conformance/random.ts";
import { openSeededStages } from "../../src/conformance/seeded-stages.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { type GridThw, numPatches } from "../../src/processor/grid.ts";
import { type EncoderItem, patchElements } from "../../src/prompt/vision-items.ts";
import type { SequenceSlice } from "../../src/runtime/decoder.ts";
import type { FeatureRange } from "../../src/runtime/feature-slab.ts";
import { type KvPool, Sequence } from "../../src/runtime/kv-pool.ts";
import type { Stages } from "../../src/runtime/open-stages.ts";
import { GREEDY } from "../../src/runtime/sampling-rows.ts";

export function openSeeded(backend: Backend, config: ModelConfig = ocrConfig): Promise<Stages> {
  return openSeededStages(backend, config, "f32");
}

/** Noise, another for each seed. */
export function picture(gridThw: GridThw, seed: string, { vision }: ModelConfig = ocrConfig): EncoderItem {
  const random = new Random(seed);
  const length = numPatches(gridThw) * patchElements(vision);
  return { gridThw, pixelValues: Float32Array.from({ length }, () => random.normal()) };
}

/** The beginning of a sequence of its own: `count` tokens, whose logits and next token are wanted. */
export function prompt(pool: KvPool, count: number, seed = 0): SequenceSlice {
  return {
    sequence: new Sequence(pool),
    inputIds: Array.from({ length: count }, (_, index) => (index * 7 + seed) % 40),
    positionIds: textPositions(0, count, 0),
    wantsLogits: true,
    sampling: [GREEDY],
  };
}

/** A prompt with all features of some ranges, from its third token on, and two tokens behind them. */
export function picturePrompt(pool: KvPool, ranges: readonly FeatureRange[], seed = 0): SequenceSlice {
  const sources = Int32Array.from(
    ranges.flatMap(({ firstRow, rows }) => Array.from({ length: rows }, (_, row) => firstRow + row)),
  );
  const slice = prompt(pool, sources.length + 4, seed);
  return { ...slice, features: { sources, rows: sources.map((_, index) => 2 + index) } };
}
