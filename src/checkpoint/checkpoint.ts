/** Opens a checkpoint as published: its configuration is parsed and its weights are listed, but none is read. */

import { deepFreeze } from "../config/freeze.ts";
import { parseGenerationConfig } from "../config/generation-config.ts";
import { parseModelConfig } from "../config/model-config.ts";
import { checkProcessorFitsModel, parseProcessorConfig } from "../config/processor-config.ts";
import type { GenerationDefaults, ModelConfig, ProcessorConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { readOnce, readOptions, shown } from "../given.ts";
import type { WeightFormat } from "../tensor/storage.ts";
import { absenceOf, type CheckpointFiles, readJson } from "./files.ts";
import { ggufInFolder, type ModelFiles, type NamedFile, namedGguf, onlyGguf } from "./gguf/find.ts";
import { type GgufCheckpoint, openGguf } from "./gguf/open.ts";
import { openTensors } from "./open-tensors.ts";
import { readWeightFiles, type WeightFile } from "./shards.ts";
import { type CheckpointTensor, ownFormat } from "./stored-weight.ts";
import { resolveTie } from "./word-embeddings.ts";

/** A checkpoint that was opened: its description is read, its weights are listed. */
export interface Checkpoint {
  /** Where its bytes come from. */
  readonly files: CheckpointFiles;
  /** config.json, parsed and frozen. */
  readonly config: ModelConfig;
  /** How it wants pictures and videos. */
  readonly processor: ProcessorConfig;
  /** What generation_config.json says. */
  readonly generation: GenerationDefaults;
  /** The files that hold the weights. */
  readonly weightFiles: readonly WeightFile[];
  /** By published name ("model.visual...", "model.language_model...", "lm_head..."). */
  readonly tensors: ReadonlyMap<string, CheckpointTensor>;
  /** What most of the bytes are stored as when nobody asks for another format. */
  readonly mainDType: WeightFormat;
  /** What was not in its files and is taken from elsewhere, in sentences. */
  readonly notes: readonly string[];
  /** What a tensor is stored as then; null when it is not there or can not be a weight. */
  tensorDType(name: string): WeightFormat | null;
}

/** How a checkpoint is opened. */
export interface OpenOptions {
  /** Ends it with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * @throws CHECKPOINT_NOT_FOUND when there is no config.json or no weights; MODEL_UNSUPPORTED; CONFIG_INVALID naming
 * the key; CHECKPOINT_INVALID naming the file and tensor; ABORTED.
 */
export async function openCheckpoint(files: CheckpointFiles, options?: OpenOptions): Promise<Checkpoint> {
  const { signal } = readOptions(options, "openCheckpoint", ["signal"]);
  if (typeof files !== "object" || readOnce("files", () => typeof files?.readAll) !== "function") {
    throw new GlimtError("OPTION_INVALID", `files is ${shown(files)}, expected what openFiles gives.`);
  }
  const named = namedGguf(files);
  const found = named ? undefined : await readJson(files, "config.json", signal);
  const ggufFiles = await ggufModel(files, named, found === undefined);
  const gguf = ggufFiles && (await openGguf(ggufFiles, signal));
  const documents = gguf?.files ?? files;
  const json = (name: string) => readJson(documents, name, signal);
  const configJson = gguf ? await json("config.json") : found;
  if (configJson === undefined) {
    throw new GlimtError(
      "CHECKPOINT_NOT_FOUND",
      `There is no config.json in ${files.location}: it is not a Hugging Face checkpoint.${absenceOf(files, "config.json")}`,
    );
  }
  const fromJson = inGguf(gguf, () => parseModelConfig(configJson));
  const parsed = gguf ? withShapes(fromJson, gguf) : fromJson;
  const [generationJson, preprocessorJson, videoJson, processorJson] = await Promise.all([
    json("generation_config.json"),
    json("preprocessor_config.json"),
    json("video_preprocessor_config.json"),
    json("processor_config.json"),
  ]);
  const processor = inGguf(gguf, () => parseProcessorConfig(preprocessorJson, videoJson, processorJson));
  checkProcessorFitsModel(processor, parsed);
  const { weightFiles, tensors: stored } = gguf ?? (await publishedWeights(files, configJson, signal));
  const { config, tensors } = resolveTie(parsed, stored);
  return {
    files: documents,
    config,
    processor,
    generation: parseGenerationConfig(generationJson, configJson),
    weightFiles,
    tensors,
    mainDType: mainDType(tensors.values()),
    notes: gguf?.notes ?? [],
    tensorDType(name) {
      const tensor = tensors.get(name);
      return tensor && tensor.refusal === undefined ? ownFormat(tensor) : null;
    },
  };
}

/** Those of safetensors files. */
async function publishedWeights(
  files: CheckpointFiles,
  configJson: unknown,
  signal: AbortSignal | undefined,
) {
  const { files: weightFiles, tensors } = await readWeightFiles(files, signal);
  return { weightFiles, tensors: await openTensors(files, tensors, configJson, signal) };
}

/** The GGUF files of a model: the one named, or those of a folder without config.json. Null for other checkpoints. */
async function ggufModel(
  files: CheckpointFiles,
  named: NamedFile | null,
  isWithoutConfig: boolean,
): Promise<ModelFiles | null> {
  const model = named ? { text: named, tower: null } : isWithoutConfig ? await ggufInFolder(files) : null;
  const { mmproj } = files;
  if (mmproj === undefined) return model;
  if (!model) {
    throw new GlimtError(
      "OPTION_INVALID",
      `mmproj is the vision tower of a model in GGUF files, and ${files.location} is none.`,
    );
  }
  const tower = namedGguf(mmproj) ?? (await onlyGguf(mmproj));
  return { ...model, tower };
}

/** What is wrong in a configuration that was made of a GGUF file is wrong in that file. */
function inGguf<T>(gguf: GgufCheckpoint | null, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (gguf === null || !(error instanceof GlimtError)) throw error;
    throw new GlimtError(error.code, `${gguf.files.location}, as ${error.message}`, { cause: error });
  }
}

function withShapes(config: ModelConfig, { widths, textOnly }: GgufCheckpoint): ModelConfig {
  return deepFreeze({ ...config, vision: { ...config.vision, ...widths }, textOnly });
}

function mainDType(tensors: Iterable<CheckpointTensor>): WeightFormat {
  const bytes = new Map<WeightFormat, number>();
  for (const tensor of tensors) {
    if (tensor.refusal !== undefined) continue;
    const format = ownFormat(tensor);
    bytes.set(format, (bytes.get(format) ?? 0) + tensor.bytes);
  }
  const [most = ["f32"] as const] = [...bytes].sort(([, a], [, b]) => b - a);
  return most[0];
}
