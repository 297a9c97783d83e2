/** The models that are timed: configurations of the released sizes, and a tiny one to try the benchmark itself. */
import { parseModelConfig } from "../../src/config/model-config.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { denseConfig, ocrConfig } from "../../src/conformance/model-configs.ts";
import glm41v from "./configs/glm-4.1v.json";
import glmOcr from "./configs/glm-ocr.json";

export interface TimedModel {
  readonly config: ModelConfig;
  /** Of the same family, small enough for the reference backend: what is checked before anything is timed. */
  readonly small: ModelConfig;
}

const TIMED: Readonly<Record<string, () => TimedModel>> = {
  "glm-ocr": () => ({ config: parseModelConfig(glmOcr), small: ocrConfig }),
  "glm-4.1v": () => ({ config: parseModelConfig(glm41v), small: denseConfig }),
  tiny: () => ({ config: ocrConfig, small: ocrConfig }),
};

/** `layers` decoder layers and `depth` blocks of the tower, where given. @throws for a name that is not there. */
export function timedModel(name: string, layers?: number, depth?: number): TimedModel {
  const found = TIMED[name]?.();
  if (!found) throw new Error(`There is no model "${name}"; there is ${Object.keys(TIMED).join(", ")}.`);
  const { config, small } = found;
  return {
    config: {
      ...config,
      text: { ...config.text, numHiddenLayers: layers ?? config.text.numHiddenLayers },
      vision: { ...config.vision, depth: depth ?? config.vision.depth },
    },
    small,
  };
}
