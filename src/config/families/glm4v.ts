/** GLM-4.1V, AutoGLM-Phone, GLM-4.6V-Flash: a dense decoder. */
import { type FamilyDefinition, POSITION_TABLE_TOWER } from "./family.ts";

export const glm4v: FamilyDefinition = {
  name: "glm4v",
  spellings: [
    { architecture: "Glm4vForConditionalGeneration", modelType: "glm4v" },
    // transformers takes glm4v_text where the key is absent.
    { architecture: "Glm46VForConditionalGeneration", modelType: "glm46v", decoders: ["glm4v_text", null] },
  ],
  traits: {
    ropePairs: "interleaved",
    sandwichNorms: true,
    textAttentionBias: true,
    partialRotaryFactor: 1,
    mixtureOfExperts: false,
    vision: POSITION_TABLE_TOWER,
  },
};
