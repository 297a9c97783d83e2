/** What a family is: how config.json names it, and what its modules do that no key of the config says. */
import type { RopePairs } from "../types.ts";

export interface FamilyDefinition {
  /** How it is named in glimt: `ModelConfig.family`. */
  readonly name: string;
  /** Every way a config.json may name it. */
  readonly spellings: readonly FamilySpelling[];
  readonly traits: FamilyTraits;
}

export interface FamilySpelling {
  readonly architecture: string;
  readonly modelType: string;
  /**
   * For a wrapper around several decoders: the text_config.model_type that makes it this family, null standing for an
   * absent key. Without it the decoder's name is not looked at.
   */
  readonly decoders?: readonly (string | null)[];
}

/** Read from transformers' modelling files, which hard-code these too. */
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

/** The tower of GLM-4.1V, which later models kept. */
export const POSITION_TABLE_TOWER: VisionTraits = {
  blockWidth: "out_hidden_size",
  mergerWidth: "intermediate_size",
  biasEverywhere: false,
  qkNorm: false,
  postConvNorm: true,
  positionTable: true,
};
