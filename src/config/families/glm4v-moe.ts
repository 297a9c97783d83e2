/** GLM-4.5V, GLM-4.6V: a mixture of experts. */
import { type FamilyDefinition, POSITION_TABLE_TOWER } from "./family.ts";

export const glm4vMoe: FamilyDefinition = {
  name: "glm4v_moe",
  spellings: [
    { architecture: "Glm4vMoeForConditionalGeneration", modelType: "glm4v_moe" },
    { architecture: "Glm46VForConditionalGeneration", modelType: "glm46v", decoders: ["glm4v_moe_text"] },
  ],
  traits: {
    ropePairs: "half",
    sandwichNorms: false,
    textAttentionBias: "config",
    partialRotaryFactor: 0.5,
    mixtureOfExperts: true,
    vision: POSITION_TABLE_TOWER,
  },
};
