/** GLM-OCR: a small dense decoder, and a tower without a position table. */
import type { FamilyDefinition } from "./family.ts";

export const glmOcr: FamilyDefinition = {
  name: "glm_ocr",
  spellings: [{ architecture: "GlmOcrForConditionalGeneration", modelType: "glm_ocr" }],
  traits: {
    ropePairs: "interleaved",
    sandwichNorms: true,
    textAttentionBias: false,
    partialRotaryFactor: 1,
    mixtureOfExperts: false,
    vision: {
      blockWidth: "intermediate_size",
      mergerWidth: "out_hidden_size*in_channels",
      biasEverywhere: true,
      qkNorm: true,
      postConvNorm: false,
      positionTable: false,
    },
  },
};
