/** A small configuration of each family, for whole models without a checkpoint. Sizes are odd on purpose. */
import type { ModelConfig } from "../config/types.ts";

export const denseConfig: ModelConfig = {
  family: "glm4v",
  architecture: "Glm4vForConditionalGeneration",
  textOnly: null,
  vision: {
    depth: 2,
    hiddenSize: 32,
    numHeads: 4,
    headDim: 8,
    inChannels: 3,
    patchSize: 14,
    temporalPatchSize: 2,
    spatialMergeSize: 2,
    blockIntermediateSize: 40,
    mergerIntermediateSize: 48,
    outHiddenSize: 24,
    rmsNormEps: 1e-5,
    ropeTheta: 10000,
    attentionBias: false,
    attentionOutputBias: false,
    mlpBias: false,
    qkNorm: false,
    postConvNorm: true,
    positionTableSide: 4,
  },
  text: {
    vocabSize: 50,
    hiddenSize: 24,
    intermediateSize: 40,
    numHiddenLayers: 2,
    numAttentionHeads: 4,
    numKeyValueHeads: 2,
    headDim: 8,
    attentionBias: true,
    rmsNormEps: 1e-5,
    maxPositionEmbeddings: 512,
    rope: { theta: 10000, rotaryDim: 4, mropeSection: [1, 1], pairs: "interleaved" },
    moe: null,
    sandwichNorms: true,
  },
  tokens: { image: 1, imageStart: 2, imageEnd: 3, video: 4, videoStart: 5, videoEnd: 6 },
  tieWordEmbeddings: false,
};

export const ocrConfig: ModelConfig = {
  ...denseConfig,
  family: "glm_ocr",
  vision: {
    ...denseConfig.vision,
    attentionBias: true,
    attentionOutputBias: true,
    mlpBias: true,
    qkNorm: true,
    postConvNorm: false,
    positionTableSide: null,
    // Heads of 16 are the smallest that tensor cores take.
    numHeads: 2,
    headDim: 16,
  },
  text: { ...denseConfig.text, attentionBias: false, headDim: 16 },
  tieWordEmbeddings: true,
};

export const moeConfig: ModelConfig = {
  ...denseConfig,
  family: "glm4v_moe",
  text: {
    ...denseConfig.text,
    sandwichNorms: false,
    moe: {
      numExperts: 4,
      numExpertsPerToken: 2,
      numSharedExperts: 1,
      numGroups: 2,
      topkGroups: 1,
      normTopkProb: true,
      routedScalingFactor: 1.5,
      moeIntermediateSize: 12,
      firstKDenseReplace: 1,
    },
  },
};

/** Models whose matrices have these columns, but for attention's output and the vision blocks. */
function withColumns(
  hiddenSize: number,
  intermediateSize: number,
  moeIntermediateSize: number,
): Readonly<Record<string, ModelConfig>> {
  const text = { hiddenSize, intermediateSize, headDim: 16 };
  const vision = { mergerIntermediateSize: intermediateSize, outHiddenSize: hiddenSize };
  return {
    glm4v: {
      ...denseConfig,
      vision: { ...denseConfig.vision, ...vision },
      text: { ...denseConfig.text, ...text },
    },
    glm_ocr: {
      ...ocrConfig,
      vision: { ...ocrConfig.vision, ...vision },
      text: { ...ocrConfig.text, ...text },
    },
    glm4v_moe: {
      ...moeConfig,
      vision: { ...denseConfig.vision, ...vision },
      text: {
        ...moeConfig.text,
        ...text,
        moe: moeConfig.text.moe && { ...moeConfig.text.moe, moeIntermediateSize },
      },
    },
  };
}

/** Of columns that are whole blocks of 32, for weights in q8 and q4. */
export const BLOCK_MODEL_CONFIGS = withColumns(64, 96, 32);

/** Of columns that are whole blocks of 128, for weights in fp8. */
export const WIDE_BLOCK_MODEL_CONFIGS = withColumns(128, 256, 128);

export const MODEL_CONFIGS: Readonly<Record<string, ModelConfig>> = {
  glm4v: denseConfig,
  glm_ocr: ocrConfig,
  glm4v_moe: moeConfig,
};
