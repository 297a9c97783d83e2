/** What the rest of glimt knows of a checkpoint's JSON files: validated, frozen, without defaults that hide a missing key. */

/** A row of the table in families/registry.ts: "glm4v", "glm_ocr" or "glm4v_moe". */
export type Family = string;

/** A checkpoint's config.json. */
export interface ModelConfig {
  /** A row of the table of families. */
  readonly family: Family;
  /** The checkpoint's own spelling, for messages (e.g. "Glm4vForConditionalGeneration"). */
  readonly architecture: string;
  /** Of the vision tower. */
  readonly vision: VisionConfig;
  /** Of the language model. */
  readonly text: TextConfig;
  /** Ids of the tokens that stand around and for pictures and videos. */
  readonly tokens: SpecialTokens;
  /** Whether the head is the embedding table, where none is stored. */
  readonly tieWordEmbeddings: boolean;
  /** Why it reads no pictures and videos, where its tower is not there or can not be used; then `vision` says nothing. */
  readonly textOnly: string | null;
}

/** Ids of the tokens that stand around and for pictures and videos. */
export interface SpecialTokens {
  /** One a feature of a picture. */
  readonly image: number;
  /** Before a picture. */
  readonly imageStart: number;
  /** Behind a picture. */
  readonly imageEnd: number;
  /** Where a video stands. */
  readonly video: number;
  /** Before a video. */
  readonly videoStart: number;
  /** Behind a video. */
  readonly videoEnd: number;
}

/** The vision tower's sizes. */
export interface VisionConfig {
  /** Blocks. */
  readonly depth: number;
  /** Width of its rows. */
  readonly hiddenSize: number;
  /** Heads of attention. */
  readonly numHeads: number;
  /** Width of a head. */
  readonly headDim: number;
  /** Channels of a picture. */
  readonly inChannels: number;
  /** Pixels a side of a patch. */
  readonly patchSize: number;
  /** Frames of a patch. */
  readonly temporalPatchSize: number;
  /** Patches a side that become one feature. */
  readonly spatialMergeSize: number;
  /** Width of the gated MLP inside a block (the released families disagree on which key holds it). */
  readonly blockIntermediateSize: number;
  /** Width of the gated MLP inside the merger. */
  readonly mergerIntermediateSize: number;
  /** Width of a feature: the language model's. */
  readonly outHiddenSize: number;
  /** Added to the mean square in norms. */
  readonly rmsNormEps: number;
  /** Base of the rotary frequencies. */
  readonly ropeTheta: number;
  /** Whether queries, keys and values have biases. */
  readonly attentionBias: boolean;
  /** Bias of the projection after attention; glm4v has none whatever attention_bias says. */
  readonly attentionOutputBias: boolean;
  /** Whether the gated MLP of a block has biases. */
  readonly mlpBias: boolean;
  /** Whether queries and keys have norms. */
  readonly qkNorm: boolean;
  /** Whether there is a norm behind the patch embedding. */
  readonly postConvNorm: boolean;
  /** Side of the learned position table (image_size / patch_size), or null when the family has none. */
  readonly positionTableSide: number | null;
}

/** The language model's sizes. */
export interface TextConfig {
  /** Rows of the embedding table. */
  readonly vocabSize: number;
  /** Width of its rows. */
  readonly hiddenSize: number;
  /** Width of the gated MLP of a dense layer. */
  readonly intermediateSize: number;
  /** Layers, those that predict several tokens not counted. */
  readonly numHiddenLayers: number;
  /** Heads of queries. */
  readonly numAttentionHeads: number;
  /** Heads of keys and values. */
  readonly numKeyValueHeads: number;
  /** Width of a head. */
  readonly headDim: number;
  /** Whether queries, keys and values have biases. */
  readonly attentionBias: boolean;
  /** Added to the mean square in norms. */
  readonly rmsNormEps: number;
  /** Tokens of the context. */
  readonly maxPositionEmbeddings: number;
  /** How positions turn queries and keys. */
  readonly rope: TextRopeConfig;
  /** Present for glm4v_moe. */
  readonly moe: MoeConfig | null;
  /** Four norms a layer (dense families) or two (MoE). */
  readonly sandwichNorms: boolean;
}

/** Rotary positions of the language model. */
export interface TextRopeConfig {
  /** Base of the frequencies. */
  readonly theta: number;
  /** Number of leading head dimensions that rotate: head_dim x partial_rotary_factor. */
  readonly rotaryDim: number;
  /** Lengths of the frequency blocks that belong to T, H, W; they sum to rotaryDim / 2. */
  readonly mropeSection: readonly number[];
  /** Which dimensions turn together. */
  readonly pairs: RopePairs;
  /** How the frequencies are changed for longer texts; absent where they are not. */
  readonly scaling?: RopeScaling;
}

/** `rope_type` and its numbers, as ROPE_INIT_FUNCTIONS of transformers reads them. */
export type RopeScaling =
  | {
      /** All frequencies are divided alike. */
      readonly type: "linear";
      /** What they are divided by. */
      readonly factor: number;
    }
  | {
      /** Low frequencies are divided, high ones stay, those between are mixed. */
      readonly type: "yarn";
      /** What low frequencies are divided by. */
      readonly factor: number;
      /** What cosines and sines are multiplied by. */
      readonly attentionFactor: number;
      /** Turns over the original context from which a frequency stays. */
      readonly betaFast: number;
      /** Turns over the original context up to which a frequency is divided. */
      readonly betaSlow: number;
      /** Tokens of the context before it was made longer. */
      readonly originalMaxPositions: number;
      /** Whether the ramp between the two kinds of frequencies begins and ends at whole ones. */
      readonly truncate: boolean;
    }
  | {
      /** As "yarn", by wavelengths. */
      readonly type: "llama3";
      /** What low frequencies are divided by. */
      readonly factor: number;
      /** Of the original context: wavelengths longer than context / this are divided. */
      readonly lowFrequencyFactor: number;
      /** Of the original context: wavelengths shorter than context / this stay. */
      readonly highFrequencyFactor: number;
      /** Tokens of the context before it was made longer. */
      readonly originalMaxPositions: number;
    };

/** Which two dimensions a rotation couples: (2i, 2i+1) or (i, i + rotaryDim/2). */
export type RopePairs = "interleaved" | "half";

/** The mixture of experts. */
export interface MoeConfig {
  /** Experts of a layer. */
  readonly numExperts: number;
  /** Experts that a token is sent to. */
  readonly numExpertsPerToken: number;
  /** Experts that every token is sent to. */
  readonly numSharedExperts: number;
  /** Groups that experts are chosen by. */
  readonly numGroups: number;
  /** Groups that experts of a token may be in. */
  readonly topkGroups: number;
  /** Whether the weights of the chosen experts sum to 1. */
  readonly normTopkProb: boolean;
  /** What their weights are multiplied by. */
  readonly routedScalingFactor: number;
  /** Width of an expert's gated MLP. */
  readonly moeIntermediateSize: number;
  /** Layers at the front that are dense. */
  readonly firstKDenseReplace: number;
}

/** Which Hugging Face processor the checkpoint names: it decides the video sampling and timestamp format. */
export type ProcessorKind = "glm4v" | "glm46v";

/** How pictures are resized and cut. */
export interface ImageProcessorConfig {
  /** Pixels a side of a patch. */
  readonly patchSize: number;
  /** Frames of a patch; a picture counts as so many equal ones. */
  readonly temporalPatchSize: number;
  /** Patches a side that become one token. */
  readonly mergeSize: number;
  /** Pixel areas over all temporal_patch_size frames (`size.shortest_edge` / `size.longest_edge`). */
  readonly minPixels: number;
  /** The most, counted as `minPixels`. */
  readonly maxPixels: number;
  /** Taken off red, green and blue, once they are scaled. */
  readonly imageMean: readonly [number, number, number];
  /** What they are divided by then. */
  readonly imageStd: readonly [number, number, number];
  /** What bytes are multiplied by: 1/255. */
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

/** What a checkpoint's processor files say. */
export interface ProcessorConfig {
  /** Which of the processors of Hugging Face it is. */
  readonly kind: ProcessorKind;
  /** Of pictures. */
  readonly image: ImageProcessorConfig;
  /** Of videos, whose areas count over all frames. */
  readonly video: ImageProcessorConfig;
  /** Which frames of a video are taken. */
  readonly sampling: VideoSamplingConfig;
}

/** generation_config.json. */
export interface GenerationDefaults {
  /** Tokens that end an answer. */
  readonly eosTokenIds: readonly number[];
  /** The token that pads, if there is one. */
  readonly padTokenId: number | null;
  /** Whether it samples, or takes the most probable token. */
  readonly doSample: boolean;
  /** As option `temperature`; null where it says nothing. */
  readonly temperature: number | null;
  /** As option `topP`. */
  readonly topP: number | null;
  /** As option `topK`. */
  readonly topK: number | null;
  /** As option `repetitionPenalty`, which holds for greedy answers too. */
  readonly repetitionPenalty: number | null;
}
