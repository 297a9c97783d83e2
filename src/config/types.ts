/** What the rest of glimt knows of a checkpoint's JSON files: validated, frozen, without defaults that hide a missing key. */

/** A row of the table in families/registry.ts: "glm4v", "glm_ocr" or "glm4v_moe". */
export type Family = string;

export interface ModelConfig {
  readonly family: Family;
  /** The checkpoint's own spelling, for messages (e.g. "Glm4vForConditionalGeneration"). */
  readonly architecture: string;
  readonly vision: VisionConfig;
  readonly text: TextConfig;
  readonly tokens: SpecialTokens;
  readonly tieWordEmbeddings: boolean;
  /** Why it reads no pictures and videos, where its tower is not there or can not be used; then `vision` says nothing. */
  readonly textOnly: string | null;
}

export interface SpecialTokens {
  readonly image: number;
  readonly imageStart: number;
  readonly imageEnd: number;
  readonly video: number;
  readonly videoStart: number;
  readonly videoEnd: number;
}

export interface VisionConfig {
  readonly depth: number;
  readonly hiddenSize: number;
  readonly numHeads: number;
  readonly headDim: number;
  readonly inChannels: number;
  readonly patchSize: number;
  readonly temporalPatchSize: number;
  readonly spatialMergeSize: number;
  /** Width of the gated MLP inside a block (the released families disagree on which key holds it). */
  readonly blockIntermediateSize: number;
  /** Width of the gated MLP inside the merger. */
  readonly mergerIntermediateSize: number;
  readonly outHiddenSize: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly attentionBias: boolean;
  /** Bias of the projection after attention; glm4v has none whatever attention_bias says. */
  readonly attentionOutputBias: boolean;
  readonly mlpBias: boolean;
  readonly qkNorm: boolean;
  readonly postConvNorm: boolean;
  /** Side of the learned position table (image_size / patch_size), or null when the family has none. */
  readonly positionTableSide: number | null;
}

export interface TextConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly attentionBias: boolean;
  readonly rmsNormEps: number;
  readonly maxPositionEmbeddings: number;
  readonly rope: TextRopeConfig;
  /** Present for glm4v_moe. */
  readonly moe: MoeConfig | null;
  /** Four norms a layer (dense families) or two (MoE). */
  readonly sandwichNorms: boolean;
}

export interface TextRopeConfig {
  readonly theta: number;
  /** Number of leading head dimensions that rotate: head_dim x partial_rotary_factor. */
  readonly rotaryDim: number;
  /** Lengths of the frequency blocks that belong to T, H, W; they sum to rotaryDim / 2. */
  readonly mropeSection: readonly number[];
  readonly pairs: RopePairs;
  /** How the frequencies are changed for longer texts; absent where they are not. */
  readonly scaling?: RopeScaling;
}

/** `rope_type` and its numbers, as ROPE_INIT_FUNCTIONS of transformers reads them. */
export type RopeScaling =
  | { readonly type: "linear"; readonly factor: number }
  | {
      readonly type: "yarn";
      readonly factor: number;
      /** What cosines and sines are multiplied by. */
      readonly attentionFactor: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly originalMaxPositions: number;
      /** Whether the ramp between the two kinds of frequencies begins and ends at whole ones. */
      readonly truncate: boolean;
    }
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    };

/** Which two dimensions a rotation couples: (2i, 2i+1) or (i, i + rotaryDim/2). */
export type RopePairs = "interleaved" | "half";

export interface MoeConfig {
  readonly numExperts: number;
  readonly numExpertsPerToken: number;
  readonly numSharedExperts: number;
  readonly numGroups: number;
  readonly topkGroups: number;
  readonly normTopkProb: boolean;
  readonly routedScalingFactor: number;
  readonly moeIntermediateSize: number;
  readonly firstKDenseReplace: number;
}

/** Which Hugging Face processor the checkpoint names: it decides the video sampling and timestamp format. */
export type ProcessorKind = "glm4v" | "glm46v";

export interface ImageProcessorConfig {
  readonly patchSize: number;
  readonly temporalPatchSize: number;
  readonly mergeSize: number;
  /** Pixel areas over all temporal_patch_size frames (`size.shortest_edge` / `size.longest_edge`). */
  readonly minPixels: number;
  readonly maxPixels: number;
  readonly imageMean: readonly [number, number, number];
  readonly imageStd: readonly [number, number, number];
  readonly rescaleFactor: number;
}

/** How the checkpoint's video processor samples; null where its file says nothing and the class's own value holds. */
export interface VideoSamplingConfig {
  /** Whether frames are chosen, or all used as they are (`do_sample_frames`). */
  readonly sampleFrames: boolean | null;
  /** Frames a second of Glm4v processors (`fps`); Glm46V ones set their own. */
  readonly fps: number | null;
  /** Seconds up to which Glm4v processors sample at that rate (`max_duration`). */
  readonly maxDuration: number | null;
}

export interface ProcessorConfig {
  readonly kind: ProcessorKind;
  readonly image: ImageProcessorConfig;
  readonly video: ImageProcessorConfig;
  readonly sampling: VideoSamplingConfig;
}

export interface GenerationDefaults {
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
  readonly doSample: boolean;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly repetitionPenalty: number | null;
}
