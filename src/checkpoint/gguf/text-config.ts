/** A GGUF language model's keys and shapes as config.json has them. Where both say something, shapes win: widths are padded. */
import { GlimtError } from "../../errors.ts";
import { shownValue } from "../shown.ts";
import type { GgufFile } from "./container.ts";
import { TEXT_ARCHITECTURES, type TextArchitecture, type TextLayout } from "./text-tensors.ts";
import type { GgufTokenizer } from "./tokenizer.ts";
import { GgufValues } from "./values.ts";

export interface GgufText {
  readonly architecture: TextArchitecture;
  readonly values: GgufValues;
  readonly layout: TextLayout;
  /** `text_config`, without its model_type. */
  readonly json: object;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly isTied: boolean;
  /** Whether q and k have biases: of the dense models GLM-OCR has none. */
  readonly hasBias: boolean;
  /** Whether it says how positions of pictures are divided, which text-only converters leave out. */
  readonly hasSections: boolean;
}

/** glm4moe: 2 is sigmoid. */
const SIGMOID = 2;

/** @throws MODEL_UNSUPPORTED for other architectures; CONFIG_INVALID naming the key; CHECKPOINT_INVALID */
export function ggufText(file: GgufFile): GgufText {
  const values = new GgufValues(file);
  const architecture = architectureOf(values, file.name);
  const key = (name: string) => `${architecture}.${name}`;
  const shapes = new Map(file.tensors.map(({ name, shape }) => [name, shape]));
  const shapeOf = (name: string): readonly number[] => {
    const shape = shapes.get(name);
    if (shape) return shape;
    throw new GlimtError("CHECKPOINT_INVALID", `${file.name} has no tensor "${name}".`);
  };
  const [vocabSize = 0, hiddenSize = 0] = shapeOf("token_embd.weight");
  const numHeads = values.size(key("attention.head_count"));
  const numKvHeads = values.has(key("attention.head_count_kv"))
    ? values.size(key("attention.head_count_kv"))
    : numHeads;
  // A file without this key means the quotient, whatever its tensors say.
  const headDim = values.has(key("attention.key_length"))
    ? values.size(key("attention.key_length"))
    : Math.floor(hiddenSize / numHeads);
  const rotaryDim = values.size(key("rope.dimension_count"));
  const sections = values.numbers(key("rope.dimension_sections"))?.slice(0, 3);
  const hasSections = sections?.some((length) => length > 0) === true;
  const numNextnLayers = values.count(key("nextn_predict_layers"), 0);
  const hasBias = shapes.has("blk.0.attn_q.bias") || shapes.has("blk.0.attn_qkv.bias");
  const numDense = values.count(key("leading_dense_block_count"), 0);
  const isDenseFirst = architecture === "glm4" || numDense > 0;
  return {
    architecture,
    values,
    layout: {
      architecture,
      numHeads,
      numKvHeads,
      headDim,
      reorderedDim: architecture === "glm4" && hasSections ? rotaryDim : null,
    },
    json: {
      vocab_size: vocabSize,
      hidden_size: hiddenSize,
      intermediate_size: isDenseFirst
        ? (shapeOf("blk.0.ffn_down.weight")[1] as number)
        : values.size(key("feed_forward_length")),
      num_hidden_layers: values.size(key("block_count")) - numNextnLayers,
      num_nextn_predict_layers: numNextnLayers,
      num_attention_heads: numHeads,
      num_key_value_heads: numKvHeads,
      head_dim: headDim,
      hidden_act: "silu",
      attention_bias: hasBias,
      max_position_embeddings: values.size(key("context_length")),
      rms_norm_eps: values.number(key("attention.layer_norm_rms_epsilon")),
      rope_parameters: {
        ...ropeScaling(values, key),
        rope_theta: values.number(key("rope.freq_base")),
        partial_rotary_factor: rotaryDim / headDim,
        // Of a text all three axes are the same, however they are divided.
        mrope_section: hasSections ? sections : [rotaryDim / 2, 0, 0],
      },
      ...(architecture === "glm4moe" && experts(values, key, file.name, shapeOf)),
    },
    vocabSize,
    hiddenSize,
    isTied: !shapes.has("output.weight"),
    hasBias,
    hasSections,
  };
}

function architectureOf(values: GgufValues, file: string): TextArchitecture {
  const architecture = values.text("general.architecture");
  if (architecture !== undefined && Object.hasOwn(TEXT_ARCHITECTURES, architecture)) {
    return architecture as TextArchitecture;
  }
  const known = Object.keys(TEXT_ARCHITECTURES).join(" and ");
  const hint =
    architecture === "clip"
      ? ": it is a vision tower, give the language model's file, and this one as the option mmproj"
      : "";
  throw new GlimtError(
    "MODEL_UNSUPPORTED",
    `${file} has architecture ${shownValue(architecture)}; glimt reads ${known}${hint}.`,
  );
}

function ropeScaling(values: GgufValues, key: (name: string) => string): object {
  const type = values.text(key("rope.scaling.type")) ?? "none";
  if (type === "none") return { rope_type: "default" };
  const original = key("rope.scaling.original_context_length");
  return {
    rope_type: type,
    factor: values.number(key("rope.scaling.factor")),
    ...(values.has(original) && { original_max_position_embeddings: values.size(original) }),
  };
}

function experts(
  values: GgufValues,
  key: (name: string) => string,
  file: string,
  shapeOf: (tensor: string) => readonly number[],
): object {
  const first = values.count(key("leading_dense_block_count"), 0);
  const gating = values.count(key("expert_gating_func"), SIGMOID);
  if (gating !== SIGMOID) {
    throw new GlimtError(
      "MODEL_UNSUPPORTED",
      `${file}: ${key("expert_gating_func")} is ${gating}; GLM models have ${SIGMOID}, a sigmoid.`,
    );
  }
  return {
    n_routed_experts: values.size(key("expert_count")),
    num_experts_per_tok: values.size(key("expert_used_count")),
    n_group: values.count(key("expert_group_count"), 1),
    topk_group: values.count(key("expert_group_used_count"), 1),
    n_shared_experts: values.size(key("expert_shared_count")),
    moe_intermediate_size: shapeOf(`blk.${first}.ffn_down_exps.weight`)[2],
    first_k_dense_replace: first,
    norm_topk_prob: values.flag(key("expert_weights_norm")),
    routed_scaling_factor: values.has(key("expert_weights_scale"))
      ? values.number(key("expert_weights_scale"))
      : 1,
  };
}

/** Of config.json, by key: the text of the token. */
const MEDIA_TOKENS = {
  image_token_id: "<|image|>",
  image_start_token_id: "<|begin_of_image|>",
  image_end_token_id: "<|end_of_image|>",
  video_token_id: "<|video|>",
  video_start_token_id: "<|begin_of_video|>",
  video_end_token_id: "<|end_of_video|>",
} as const;

/** @throws TOKENIZER_INVALID naming a token that the vocabulary lacks */
export function mediaTokens({ idOf }: GgufTokenizer, file: string): object {
  const entries = Object.entries(MEDIA_TOKENS).map(([key, token]) => {
    const id = idOf(token);
    if (id !== undefined) return [key, id] as const;
    throw new GlimtError("TOKENIZER_INVALID", `${file}: its vocabulary has no ${token}.`);
  });
  return Object.fromEntries(entries);
}
