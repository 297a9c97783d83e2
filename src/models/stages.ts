/**
 * The stages of a model, each a graph that becomes one program. Another stage is its builder, a line here, and what runs
 * it, in runtime/stage-runners.ts.
 */
import type { ModelConfig } from "../config/types.ts";
import type { Graph } from "../graph/graph.ts";
import { buildDecoder, type DecoderOptions } from "./decoder.ts";
import { buildDraftingDecoder } from "./mtp.ts";
import { buildVisionTower } from "./vision-tower.ts";

const BUILDERS = {
  vision: (config, options) => buildVisionTower(config.vision, options),
  decoder: buildDecoder,
  drafting: buildDraftingDecoder,
} as const satisfies Record<string, (config: ModelConfig, options: DecoderOptions) => Graph>;

export type StageName = keyof typeof BUILDERS;

export interface ModelStage {
  /** The name of its graph and program too. */
  readonly name: StageName;
  readonly graph: Graph;
}

/** In the order in which a request meets them: no tower of a model of text alone, no drafts without their layer. */
export function modelStages(config: ModelConfig, options: DecoderOptions): readonly ModelStage[] {
  const names = (Object.keys(BUILDERS) as StageName[]).filter(
    (name) => !(name === "vision" && config.textOnly !== null) && !(name === "drafting" && !options.mtp),
  );
  return names.map((name) => ({ name, graph: BUILDERS[name](config, options) }));
}
