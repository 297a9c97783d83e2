/**
 * config.json -> ModelConfig. Key names are those of transformers' Glm4vConfig, GlmOcrConfig and Glm4vMoeConfig, in
 * the flat spelling of 4.x or with `rope_parameters` (5.x). transformers gives every key a default; those defaults
 * are not the released values, so here a missing key is an error unless a comment says why it is not.
 */
import type { FamilyDefinition, FamilyTraits } from "./families/family.ts";
import { FAMILIES, identifyFamily } from "./families/registry.ts";
import { deepFreeze } from "./freeze.ts";
import { JsonSection } from "./json-section.ts";
import { parseTextRope, visionRopeTheta } from "./rope.ts";
import type { ModelConfig, MoeConfig, SpecialTokens, TextConfig, VisionConfig } from "./types.ts";

/** Published files (GLM-OCR's) may leave in_channels out: every processor of these families makes RGB. */
const RGB = 3;

const MOST_LAYERS = 1000;
export const MOST_EXPERTS = 4096;

/** Throws `CONFIG_INVALID` (names the key path) or `MODEL_UNSUPPORTED` (another model). */
export function parseModelConfig(
  json: unknown,
  families: readonly FamilyDefinition[] = FAMILIES,
): ModelConfig {
  const root = JsonSection.root(json, "config.json");
  const {
    family: { name: family, traits },
    architecture,
  } = identifyFamily(root, families);
  const textSection = textHolder(root);
  const vision = parseVision(root.section("vision_config"), traits);
  const text = parseText(textSection, traits);
  if (vision.outHiddenSize !== text.hiddenSize) {
    throw root
      .section("vision_config")
      .invalid("out_hidden_size", `text_config.hidden_size (${text.hiddenSize})`);
  }
  return deepFreeze({
    family,
    architecture,
    vision,
    text,
    tokens: parseTokens(root, textSection, text.vocabSize),
    tieWordEmbeddings: parseTie(root, textSection),
    textOnly: null,
  });
}

/** The first files of GLM-4.1V have the decoder's keys at the root, where transformers still reads them. */
function textHolder(root: JsonSection): JsonSection {
  return !root.has("text_config") && root.has("hidden_size") ? root : root.section("text_config");
}

function parseVision(section: JsonSection, { vision: traits }: FamilyTraits): VisionConfig {
  requireSilu(section);
  const hiddenSize = section.positiveInteger("hidden_size");
  const numHeads = section.positiveInteger("num_heads");
  if (hiddenSize % numHeads !== 0)
    throw section.invalid("num_heads", `a divisor of hidden_size ${hiddenSize}`);
  const headDim = hiddenSize / numHeads;
  // Half of the rotated pairs belong to each of the two axes.
  if (headDim % 4 !== 0) throw section.invalid("num_heads", "heads whose size is a multiple of 4");
  const outHiddenSize = section.positiveInteger("out_hidden_size");
  const intermediateSize = section.positiveInteger("intermediate_size");
  const inChannels = section.has("in_channels") ? section.positiveInteger("in_channels") : RGB;
  const patchSize = section.positiveInteger("patch_size");
  const attentionBias = section.boolean("attention_bias");
  const biasEverywhere = attentionBias && traits.biasEverywhere;
  return {
    depth: section.positiveCount("depth", MOST_LAYERS),
    hiddenSize,
    numHeads,
    headDim,
    inChannels,
    patchSize,
    temporalPatchSize: section.positiveInteger("temporal_patch_size"),
    spatialMergeSize: section.positiveInteger("spatial_merge_size"),
    blockIntermediateSize: traits.blockWidth === "out_hidden_size" ? outHiddenSize : intermediateSize,
    mergerIntermediateSize:
      traits.mergerWidth === "intermediate_size" ? intermediateSize : outHiddenSize * inChannels,
    outHiddenSize,
    rmsNormEps: section.positiveNumber("rms_norm_eps"),
    ropeTheta: visionRopeTheta(section),
    attentionBias,
    attentionOutputBias: biasEverywhere,
    mlpBias: biasEverywhere,
    qkNorm: traits.qkNorm,
    postConvNorm: traits.postConvNorm,
    positionTableSide: traits.positionTable ? positionTableSide(section, patchSize) : null,
  };
}

function positionTableSide(section: JsonSection, patchSize: number): number {
  const imageSize = section.positiveInteger("image_size");
  if (imageSize < patchSize) throw section.invalid("image_size", `at least patch_size (${patchSize})`);
  return Math.floor(imageSize / patchSize);
}

function parseText(section: JsonSection, traits: FamilyTraits): TextConfig {
  requireSilu(section);
  const hiddenSize = section.positiveInteger("hidden_size");
  const numAttentionHeads = section.positiveInteger("num_attention_heads");
  // transformers reads null as "as many as attention heads".
  const numKeyValueHeads = section.isNull("num_key_value_heads")
    ? numAttentionHeads
    : section.positiveInteger("num_key_value_heads");
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    throw section.invalid("num_key_value_heads", `a divisor of num_attention_heads ${numAttentionHeads}`);
  }
  const headDim = parseHeadDim(section, hiddenSize, numAttentionHeads);
  const numHiddenLayers = section.positiveCount("num_hidden_layers", MOST_LAYERS);
  return {
    vocabSize: section.positiveInteger("vocab_size"),
    hiddenSize,
    intermediateSize: section.positiveInteger("intermediate_size"),
    numHiddenLayers,
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    attentionBias:
      traits.textAttentionBias === "config" ? section.boolean("attention_bias") : traits.textAttentionBias,
    rmsNormEps: section.positiveNumber("rms_norm_eps"),
    maxPositionEmbeddings: section.positiveInteger("max_position_embeddings"),
    rope: parseTextRope(section, headDim, traits),
    moe: traits.mixtureOfExperts ? parseMoe(section, numHiddenLayers) : null,
    sandwichNorms: traits.sandwichNorms,
  };
}

/** transformers declares no head_dim for these families: absent, it is hidden_size / num_attention_heads. */
function parseHeadDim(section: JsonSection, hiddenSize: number, numAttentionHeads: number): number {
  if (section.has("head_dim")) return section.positiveInteger("head_dim");
  if (hiddenSize % numAttentionHeads !== 0) {
    throw section.invalid(
      "head_dim",
      `an integer, since ${numAttentionHeads} heads do not divide ${hiddenSize}`,
    );
  }
  return hiddenSize / numAttentionHeads;
}

function parseMoe(section: JsonSection, numHiddenLayers: number): MoeConfig {
  const numExperts = section.positiveCount("n_routed_experts", MOST_EXPERTS);
  const numGroups = section.positiveInteger("n_group");
  if (numExperts % numGroups !== 0) throw section.invalid("n_group", `a divisor of ${numExperts} experts`);
  // transformers' own converter writes none of the keys read by `optional`, and means these values.
  const optional = (key: string, absent: number, read: () => number) => (section.has(key) ? read() : absent);
  const topkGroups = optional("topk_group", 1, () => section.positiveInteger("topk_group"));
  if (topkGroups > numGroups) throw section.invalid("topk_group", `at most n_group (${numGroups})`);
  const numExpertsPerToken = section.positiveInteger("num_experts_per_tok");
  if (numExpertsPerToken > (numExperts / numGroups) * topkGroups) {
    throw section.invalid("num_experts_per_tok", "at most the experts of the chosen groups");
  }
  const firstKDenseReplace = optional("first_k_dense_replace", 1, () =>
    section.naturalNumber("first_k_dense_replace"),
  );
  if (firstKDenseReplace > numHiddenLayers) {
    throw section.invalid("first_k_dense_replace", `at most num_hidden_layers (${numHiddenLayers})`);
  }
  return {
    numExperts,
    numExpertsPerToken,
    numSharedExperts: section.positiveInteger("n_shared_experts"),
    numGroups,
    topkGroups,
    normTopkProb: section.boolean("norm_topk_prob"),
    routedScalingFactor: optional("routed_scaling_factor", 1, () =>
      section.positiveNumber("routed_scaling_factor"),
    ),
    moeIntermediateSize: section.positiveInteger("moe_intermediate_size"),
    firstKDenseReplace,
  };
}

/** At the root, or where transformers' converter puts two of them: in text_config. */
function parseTokens(root: JsonSection, text: JsonSection, vocabSize: number): SpecialTokens {
  const id = (key: string): number => {
    const owner = !root.has(key) && text.has(key) ? text : root;
    const value = owner.naturalNumber(key);
    if (value >= vocabSize) throw owner.invalid(key, `an id below text_config.vocab_size (${vocabSize})`);
    return value;
  };
  return {
    image: id("image_token_id"),
    imageStart: id("image_start_token_id"),
    imageEnd: id("image_end_token_id"),
    video: id("video_token_id"),
    videoStart: id("video_start_token_id"),
    videoEnd: id("video_end_token_id"),
  };
}

/** Files saved before transformers 5 keep the flag in text_config; absent in both, transformers does not tie. */
function parseTie(root: JsonSection, text: JsonSection): boolean {
  return [root, text].some(
    (section) => section.has("tie_word_embeddings") && section.boolean("tie_word_embeddings"),
  );
}

function requireSilu(section: JsonSection): void {
  // transformers knows it by both names.
  if (!["silu", "swish"].includes(section.string("hidden_act")))
    throw section.invalid("hidden_act", '"silu"');
}
