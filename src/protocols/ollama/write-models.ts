/** What is served, as Ollama lists models. */
import type { ModelConfig } from "../../config/types.ts";
import type { ModelAbilities } from "../model-abilities.ts";

export interface ListedForOllama {
  readonly name: string;
  /** Seconds since 1970. */
  readonly created: number;
}

interface Details {
  readonly parent_model: "";
  readonly format: string;
  readonly family: string;
  readonly families: readonly string[];
  readonly parameter_size: string;
  readonly quantization_level: string;
}

/** @param models the model and its adapters, which are asked for in the same way */
export function ollamaTags(models: readonly ListedForOllama[], config: ModelConfig): object {
  return {
    models: models.map(({ name, created }) => ({ ...named(name, config), modified_at: isoTime(created) })),
  };
}

/** All that is served is loaded, for as long as the server runs. */
export function ollamaRunning(models: readonly ListedForOllama[], config: ModelConfig): object {
  return {
    models: models.map(({ name }) => ({
      ...named(name, config),
      expires_at: "9999-12-31T23:59:59Z",
      size_vram: 0,
      context_length: config.text.maxPositionEmbeddings,
    })),
  };
}

export function ollamaShow(
  { created }: ListedForOllama,
  config: ModelConfig,
  offers: ModelAbilities,
): object {
  const { text } = config;
  const family = config.family;
  return {
    modelfile: "",
    parameters: "",
    template: "",
    details: details(config),
    model_info: {
      "general.architecture": family,
      [`${family}.context_length`]: text.maxPositionEmbeddings,
      [`${family}.embedding_length`]: text.hiddenSize,
      [`${family}.block_count`]: text.numHiddenLayers,
    },
    capabilities: [
      "completion",
      ...(config.textOnly ? [] : ["vision"]),
      ...(offers.tools ? ["tools"] : []),
      ...(offers.thinking ? ["thinking"] : []),
    ],
    modified_at: isoTime(created),
  };
}

/** Sizes and digests are of files that Ollama keeps, and there are none. */
function named(name: string, config: ModelConfig): object {
  return { name, model: name, size: 0, digest: "", details: details(config) };
}

function details(config: ModelConfig): Details {
  const family = config.family;
  return {
    parent_model: "",
    format: "safetensors",
    family,
    families: [family],
    parameter_size: "",
    quantization_level: "",
  };
}

function isoTime(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
