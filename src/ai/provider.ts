/** `glimt/ai`: glimt's models in this process as a provider of the AI SDK (npm `ai`). */
import { GlimtError } from "../errors.ts";
import { readOptions, shown } from "../given.ts";
import type { GlimtLanguageModel } from "./contract.ts";
import { noSuchModel } from "./errors.ts";
import {
  type LanguageModelSettings,
  languageModel,
  type ModelSource,
  modelOpener,
} from "./language-model.ts";

export type { GlimtLanguageModel } from "./contract.ts";
export {
  type AnsweringModel,
  type LanguageModelSettings,
  languageModel,
  type ModelSource,
} from "./language-model.ts";
export type { GlimtProviderOptions } from "./provider-options.ts";

/** Models by name: `glimt("name")`, and whatever takes a provider of the AI SDK. */
export interface GlimtProvider {
  (modelId: string): GlimtLanguageModel;
  /** Of the AI SDK's provider contract. */
  readonly specificationVersion: "v4";
  /** @throws an error of the AI SDK's kind "no such model" */
  languageModel(modelId: string): GlimtLanguageModel;
  /** There are none. */
  embeddingModel(modelId: string): never;
  /** There are none. */
  imageModel(modelId: string): never;
}

/** What holds for all models of a provider. */
export type ProviderSettings = Omit<LanguageModelSettings, "modelId">;

/**
 * A provider of models that are loaded, or that are loaded when they are asked first.
 *
 * @param models by the names under which they are asked for
 * @throws OPTION_INVALID for what is no model
 */
export function createGlimt(
  models: Readonly<Record<string, ModelSource>>,
  settings?: ProviderSettings,
): GlimtProvider {
  const read = readOptions(settings, "createGlimt", ["sources"]);
  const known = new Map<string, GlimtLanguageModel>();
  if (typeof models !== "object" || models === null) {
    throw new GlimtError("OPTION_INVALID", `createGlimt: expected models by name, found ${shown(models)}.`);
  }
  for (const [modelId, source] of Object.entries(models)) {
    const open = modelOpener(source, `createGlimt: ${modelId}`);
    known.set(modelId, languageModel(open, { ...read, modelId }));
  }
  const named = (modelId: string) => {
    const model = known.get(modelId);
    if (model) return model;
    throw noSuchModel(modelId, "languageModel", [...known.keys()]);
  };
  const none = (modelType: string) => (modelId: string) => {
    throw noSuchModel(modelId, modelType, []);
  };
  return Object.assign((modelId: string) => named(modelId), {
    specificationVersion: "v4",
    languageModel: named,
    embeddingModel: none("embeddingModel"),
    imageModel: none("imageModel"),
  } as const);
}
