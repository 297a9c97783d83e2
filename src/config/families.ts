/**
 * The one table of models glimt runs: how a config.json names them, and what their modules do that no key of the
 * config says (read from transformers' modelling files, which hard-code it too).
 */
import { GlimtError } from "../errors.ts";
import type { JsonSection } from "./json-section.ts";
import type { Family, RopePairs } from "./types.ts";

export interface FamilyTraits {
  readonly ropePairs: RopePairs;
  readonly sandwichNorms: boolean;
  /** Biases on the decoder's q, k and v; "config" reads text_config.attention_bias, which the others ignore. */
  readonly textAttentionBias: boolean | "config";
  /** Used when the config gives no partial_rotary_factor. */
  readonly partialRotaryFactor: number;
  readonly mixtureOfExperts: boolean;
  readonly vision: VisionTraits;
}

export interface VisionTraits {
  /** The key that holds the width of a block's MLP. */
  readonly blockWidth: "out_hidden_size" | "intermediate_size";
  /** The merger's MLP width: a key, or out_hidden_size x in_channels. */
  readonly mergerWidth: "intermediate_size" | "out_hidden_size*in_channels";
  /** Whether attention_bias also gives the output projection and the MLP a bias. */
  readonly biasEverywhere: boolean;
  readonly qkNorm: boolean;
  readonly postConvNorm: boolean;
  readonly positionTable: boolean;
}

const positionTableVision: VisionTraits = {
  blockWidth: "out_hidden_size",
  mergerWidth: "intermediate_size",
  biasEverywhere: false,
  qkNorm: false,
  postConvNorm: true,
  positionTable: true,
};

export const FAMILIES: Readonly<Record<Family, FamilyTraits>> = {
  glm4v: {
    ropePairs: "interleaved",
    sandwichNorms: true,
    textAttentionBias: true,
    partialRotaryFactor: 1,
    mixtureOfExperts: false,
    vision: positionTableVision,
  },
  glm_ocr: {
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
  glm4v_moe: {
    ropePairs: "half",
    sandwichNorms: false,
    textAttentionBias: "config",
    partialRotaryFactor: 0.5,
    mixtureOfExperts: true,
    vision: positionTableVision,
  },
};

interface Spelling {
  readonly architecture: string;
  readonly modelType: string;
  /** Null: Glm46V wraps either decoder, and its text_config.model_type tells which. */
  readonly family: Family | null;
}

const SPELLINGS: readonly Spelling[] = [
  { architecture: "Glm4vForConditionalGeneration", modelType: "glm4v", family: "glm4v" },
  { architecture: "Glm46VForConditionalGeneration", modelType: "glm46v", family: null },
  { architecture: "GlmOcrForConditionalGeneration", modelType: "glm_ocr", family: "glm_ocr" },
  { architecture: "Glm4vMoeForConditionalGeneration", modelType: "glm4v_moe", family: "glm4v_moe" },
];

/** text_config.model_type inside a Glm46V config; absent means glm4v_text, as in transformers. */
const GLM46V_DECODERS: Readonly<Record<string, Family>> = {
  glm4v_text: "glm4v",
  glm4v_moe_text: "glm4v_moe",
};

/**
 * Family and architecture of a config.json. As in transformers, model_type decides; `architectures` must name the
 * same model when it is there. Throws `MODEL_UNSUPPORTED` for every other model.
 */
export function identifyFamily(root: JsonSection): { family: Family; architecture: string } {
  const modelType = root.string("model_type");
  const spelling = SPELLINGS.find((known) => known.modelType === modelType);
  const named = root.get("architectures");
  const architectures = Array.isArray(named) ? named : [];
  if (!spelling || (architectures.length > 0 && !architectures.includes(spelling.architecture))) {
    throw unsupported(`model_type "${modelType}", architectures ${JSON.stringify(architectures)}`);
  }
  return { family: spelling.family ?? glm46vFamily(root), architecture: spelling.architecture };
}

function glm46vFamily(root: JsonSection): Family {
  const text = root.section("text_config");
  const decoder = text.has("model_type") ? text.string("model_type") : "glm4v_text";
  const family = GLM46V_DECODERS[decoder];
  if (!family) throw unsupported(`model_type "glm46v" around a "${decoder}" decoder`);
  return family;
}

function unsupported(found: string): GlimtError {
  const supported = SPELLINGS.map(({ architecture, modelType }) => `${architecture} (${modelType})`).join(
    ", ",
  );
  return new GlimtError(
    "MODEL_UNSUPPORTED",
    `config.json describes ${found}, which glimt can not run. Supported: ${supported}.`,
  );
}
