/** The programs of a model's stages, compiled once and kept: to be loaded on an engine, planned with, and varied. */
import type { CompileTarget } from "../backends/backend.ts";
import { type CompileOptions, compileGraph, optimizeRanks } from "../compiler/compile.ts";
import type { Partition } from "../compiler/partition/partition.ts";
import { balancedCuts } from "../compiler/partition/pipeline-stages.ts";
import type { ModelConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import type { ChooseWeightFormat } from "../graph/builder.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import type { MtpLayer } from "../models/decoder.ts";
import { mtpCopies } from "../models/mtp.ts";
import { type ModelStage, modelStages, type StageName } from "../models/stages.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { loadedPrograms } from "../program/weights.ts";
import type { CacheDType, TensorDType } from "../tensor/dtype.ts";
import { storedBytes } from "./device-memory.ts";

/** Tokens in a page of the KV cache. */
export const DEFAULT_PAGE_SIZE = 16;

export interface CompiledStage extends ModelStage {
  readonly program: VerifiedProgram;
  /** How it was partitioned for a device group; absent for one device. */
  readonly partition?: Partition | undefined;
}

export interface CompiledModel {
  readonly config: ModelConfig;
  readonly stages: readonly CompiledStage[];
  readonly kvCacheDType: TensorDType;
  /** Pairs of weights, by name, that may hold the same: then they are on the device once. */
  readonly copies: readonly (readonly [string, string])[];
  /** How they were compiled, so that what is made of their graphs later is compiled alike. */
  readonly compile: CompileOptions;
}

export interface StageCompileOptions {
  readonly weightDType: ChooseWeightFormat;
  /** Default: the activation type. */
  readonly kvCacheDType?: CacheDType | undefined;
  readonly compile?: CompileOptions | undefined;
  /** The checkpoint's MTP layer, where it is to draft; default: none. */
  readonly mtp?: MtpLayer | undefined;
  /** Whether the decoder's programs tell what rows attend to; default: no. */
  readonly attention?: boolean | undefined;
  /** The device group that will run it; default: one device. */
  readonly group?: GroupStages | undefined;
}

/** How a device group shares the stages of a model. */
export interface GroupStages {
  /** Ranks that share each layer. */
  readonly tensor: number;
  readonly pipeline: number;
  /** The first decoder layer of each pipeline stage but the first; default: cut where the largest is as small as can be. */
  readonly cuts?: readonly number[] | undefined;
  /**
   * Whether ranks share the vision tower's layers, each has all of it, or ranks of its own have it; default: by `usualEncoder`.
   */
  readonly encoder?: "tensor" | "data" | "stage" | undefined;
  /** Ranks of its own that the tower has, behind those of the stages; default 0. */
  readonly encoders?: number | undefined;
}

/**
 * For a backend that was probed; fused ops that it lacks are expanded.
 * @throws GRAPH_INVALID, BACKEND_UNAVAILABLE; OPTION_INVALID for a group that can not share it, with what does not divide
 */
export function compileStages(
  backend: CompileTarget,
  config: ModelConfig,
  { weightDType, kvCacheDType, compile: asked, mtp, attention, group }: StageCompileOptions,
): CompiledModel {
  const { activationDType, weightLayout } = backend;
  const compile: CompileOptions = {
    supports: (query) => backend.supports(query).ok,
    weightLayout,
    ...asked,
  };
  const stages = modelStages(config, {
    activationDType,
    weightDType,
    kvCacheDType,
    pageSize: DEFAULT_PAGE_SIZE,
    mtp,
    attention,
  });
  return {
    config,
    kvCacheDType: kvCacheDType ?? activationDType,
    stages: group
      ? compileForGroup(stages, compile, group)
      : stages.map((stage) => ({ ...stage, program: compileGraph(stage.graph, compile) })),
    copies: mtp ? mtpCopies(config, mtp) : [],
    compile,
  };
}

function compileForGroup(
  stages: readonly ModelStage[],
  compile: CompileOptions,
  group: GroupStages,
): CompiledStage[] {
  const { tensor, pipeline, encoders = 0 } = group;
  const decoder = stages.find(({ name }) => name === "decoder") as ModelStage;
  const vision = stages.find(({ name }) => name === "vision");
  if (encoders > 0 && !vision) {
    throw new GlimtError(
      "OPTION_INVALID",
      'parallel.encoder is "stage", and this model has no vision tower to lie on devices of its own.',
    );
  }
  const encoder = vision && (group.encoder ?? usualEncoder(vision, decoder, group, compile));
  // What the first stage has of it, on all its ranks.
  const towerBytes =
    vision && encoder !== "stage" ? weightBytesOf(vision) * (encoder === "data" ? tensor : 1) : 0;
  const cuts = group.cuts ?? (pipeline > 1 ? balancedCuts(decoder.graph, pipeline, towerBytes) : []);
  return stages.map((stage) => {
    const isCopied = stage === vision && encoder !== "tensor";
    const partition = { tensor, cuts, encoders, ...(isCopied && { copies: true }) };
    return { ...stage, partition, program: compileGraph(stage.graph, { ...compile, partition }) };
  });
}

/** A tower that is smaller beside a rank's part of the decoder costs little to have on each. */
const SMALL_TOWER = 0.1;

/** How ranks share a tower of which nothing is asked. */
function usualEncoder(
  vision: ModelStage,
  decoder: ModelStage,
  { tensor, pipeline }: GroupStages,
  compile: CompileOptions,
): "tensor" | "data" {
  if (tensor === 1) return "tensor";
  const partOfDecoder = weightBytesOf(decoder) / (tensor * pipeline);
  if (weightBytesOf(vision) <= SMALL_TOWER * partOfDecoder) return "data";
  try {
    optimizeRanks(vision.graph, { tensor, cuts: [] }, compile);
    return "tensor";
  } catch (error) {
    // Nobody asked for parts that it can not be in.
    if (error instanceof GlimtError && error.code === "OPTION_INVALID") return "data";
    throw error;
  }
}

function weightBytesOf({ graph }: ModelStage): number {
  return storedBytes(graph.values.flatMap(({ origin }) => (origin.kind === "weight" ? [origin.spec] : [])));
}

/** By stage; a model that reads no pictures has no vision. */
export type StagePrograms = Readonly<Record<"decoder", VerifiedProgram>> &
  Readonly<Partial<Record<StageName, VerifiedProgram>>>;

export function stagePrograms({ stages }: Pick<CompiledModel, "stages">): StagePrograms {
  return Object.fromEntries(stages.map(({ name, program }) => [name, program])) as StagePrograms;
}

/** Every weight that a stage asks for, once. */
export function stageWeights({ stages }: Pick<CompiledModel, "stages">): WeightSpec[] {
  const specs = stages.flatMap(({ program }) => loadedPrograms(program)).flatMap(({ weights }) => weights);
  return [...new Map(specs.map((spec) => [spec.name, spec])).values()];
}
