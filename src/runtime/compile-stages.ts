/** The programs of a model's stages, compiled once and kept: to be loaded on an engine, planned with, and varied. */
import type { CompileTarget } from "../backends/backend.ts";
import { type CompileOptions, compileGraph } from "../compiler/compile.ts";
import type { ModelConfig } from "../config/types.ts";
import type { ChooseWeightFormat } from "../graph/builder.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import type { MtpLayer } from "../models/decoder.ts";
import { type ModelStage, modelStages, type StageName } from "../models/stages.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { loadedPrograms } from "../program/weights.ts";
import type { CacheDType, TensorDType } from "../tensor/dtype.ts";

/** Tokens in a page of the KV cache. */
export const DEFAULT_PAGE_SIZE = 16;

export interface CompiledStage extends ModelStage {
  readonly program: VerifiedProgram;
}

export interface CompiledModel {
  readonly config: ModelConfig;
  readonly stages: readonly CompiledStage[];
  readonly kvCacheDType: TensorDType;
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
}

/** For a backend that was probed; fused ops that it lacks are expanded. @throws GRAPH_INVALID, BACKEND_UNAVAILABLE */
export function compileStages(
  backend: CompileTarget,
  config: ModelConfig,
  { weightDType, kvCacheDType, compile: asked, mtp }: StageCompileOptions,
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
  });
  return {
    config,
    kvCacheDType: kvCacheDType ?? activationDType,
    stages: stages.map((stage) => ({ ...stage, program: compileGraph(stage.graph, compile) })),
    compile,
  };
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
