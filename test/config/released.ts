/** config.json contents of the released sizes, in both spellings that transformers has used. */

const tokens = {
  image_start_token_id: 151339,
  image_end_token_id: 151340,
  video_start_token_id: 151341,
  video_end_token_id: 151342,
};

const vision = {
  depth: 24,
  hidden_size: 1536,
  hidden_act: "silu",
  attention_bias: false,
  num_heads: 12,
  in_channels: 3,
  image_size: 336,
  patch_size: 14,
  rms_norm_eps: 1e-5,
  spatial_merge_size: 2,
  temporal_patch_size: 2,
  out_hidden_size: 4096,
  intermediate_size: 13696,
};

export const glm4v = {
  architectures: ["Glm4vForConditionalGeneration"],
  model_type: "glm4v",
  ...tokens,
  image_token_id: 151343,
  video_token_id: 151344,
  tie_word_embeddings: false,
  text_config: {
    model_type: "glm4v_text",
    vocab_size: 151552,
    hidden_size: 4096,
    intermediate_size: 13696,
    num_hidden_layers: 40,
    num_attention_heads: 32,
    num_key_value_heads: 2,
    hidden_act: "silu",
    max_position_embeddings: 65536,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    partial_rotary_factor: 0.5,
    rope_scaling: { rope_type: "default", mrope_section: [8, 12, 12] },
    eos_token_id: [151329, 151336, 151338, 151348],
    pad_token_id: 151329,
  },
  vision_config: { model_type: "glm4v_vision", ...vision },
};

export const glmOcr = {
  architectures: ["GlmOcrForConditionalGeneration"],
  model_type: "glm_ocr",
  image_start_token_id: 59256,
  image_end_token_id: 59257,
  video_start_token_id: 59258,
  video_end_token_id: 59259,
  image_token_id: 59280,
  video_token_id: 59281,
  text_config: {
    model_type: "glm_ocr_text",
    vocab_size: 59392,
    hidden_size: 1536,
    intermediate_size: 4608,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    num_key_value_heads: 8,
    head_dim: 128,
    hidden_act: "silu",
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    num_nextn_predict_layers: 1,
    rope_parameters: {
      rope_type: "default",
      rope_theta: 10000,
      partial_rotary_factor: 1,
      mrope_section: [16, 24, 24],
    },
    eos_token_id: [59246, 59253],
    tie_word_embeddings: false,
  },
  // As published, without in_channels.
  vision_config: {
    model_type: "glm_ocr_vision",
    hidden_size: 1024,
    depth: 24,
    num_heads: 16,
    attention_bias: true,
    intermediate_size: 4096,
    hidden_act: "silu",
    hidden_dropout_prob: 0,
    initializer_range: 0.02,
    image_size: 336,
    patch_size: 14,
    out_hidden_size: 1536,
    rms_norm_eps: 1e-5,
    spatial_merge_size: 2,
    temporal_patch_size: 2,
  },
};

export const glm4vMoe = {
  architectures: ["Glm4vMoeForConditionalGeneration"],
  model_type: "glm4v_moe",
  ...tokens,
  image_token_id: 151363,
  video_token_id: 151364,
  text_config: {
    ...glm4v.text_config,
    model_type: "glm4v_moe_text",
    hidden_size: 4096,
    intermediate_size: 10944,
    num_hidden_layers: 46,
    num_attention_heads: 96,
    num_key_value_heads: 8,
    head_dim: 128,
    attention_bias: true,
    moe_intermediate_size: 1408,
    num_experts_per_tok: 8,
    n_shared_experts: 1,
    n_routed_experts: 128,
    routed_scaling_factor: 1,
    n_group: 1,
    topk_group: 1,
    first_k_dense_replace: 1,
    norm_topk_prob: true,
  },
  vision_config: { ...vision, model_type: "glm4v_moe", intermediate_size: 10944 },
};

const pixels = {
  size: { shortest_edge: 12544, longest_edge: 9633792 },
  do_rescale: true,
  patch_size: 14,
  temporal_patch_size: 2,
  merge_size: 2,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
};

export const glm4vPreprocessor = {
  ...pixels,
  image_processor_type: "Glm4vImageProcessor",
  processor_class: "Glm4vProcessor",
};

export const glm46vPreprocessor = {
  ...pixels,
  image_processor_type: "Glm46VImageProcessorFast",
  processor_class: "Glm46VProcessor",
};

/** A copy of `json` with the value at a dotted path replaced; undefined deletes the key. */
export function withValue(json: object, path: string, value: unknown): Record<string, unknown> {
  const copy = structuredClone(json) as Record<string, unknown>;
  const keys = path.split(".");
  const last = keys.pop() as string;
  const owner = keys.reduce((node, key) => node[key] as Record<string, unknown>, copy);
  if (value === undefined) delete owner[last];
  else owner[last] = value;
  return copy;
}
