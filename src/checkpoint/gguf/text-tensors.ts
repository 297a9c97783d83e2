/**
 * Tensors of a GGUF language model under Hugging Face's names. Converters put rows of q and k into another order, stack
 * experts in one tensor of three dimensions, and call the norms otherwise for each architecture.
 */
import { MOST_EXPERTS } from "../../config/model-config.ts";
import { GlimtError } from "../../errors.ts";
import { shownName } from "../shown.ts";
import type { CheckpointTensor } from "../stored-weight.ts";
import { ggufTensor, type RowChoice, type RowOrder, type SourceTensor } from "./weight.ts";

const ROOT = "model.language_model";

/** Maps, since a file may call a tensor as objects call what they inherit. */
const WHOLE: ReadonlyMap<string, string> = new Map([
  ["token_embd", `${ROOT}.embed_tokens`],
  ["output_norm", `${ROOT}.norm`],
  ["output", "lm_head"],
]);

/** Modules of a layer that all architectures have. */
const LAYER: ReadonlyMap<string, string> = mapOf({
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  ffn_down: "mlp.down_proj",
  "nextn.eh_proj": "eh_proj",
  "nextn.enorm": "enorm",
  "nextn.hnorm": "hnorm",
  "nextn.embed_tokens": "embed_tokens",
  "nextn.shared_head_head": "shared_head.head",
  "nextn.shared_head_norm": "shared_head.norm",
});

export const TEXT_ARCHITECTURES = {
  /** Norms on both sides of each part; the MLP's gate and up are one matrix, gate first. */
  glm4: mapOf({
    post_attention_norm: "post_self_attn_layernorm",
    ffn_norm: "post_attention_layernorm",
    ffn_up: "mlp.gate_up_proj",
    post_ffw_norm: "post_mlp_layernorm",
  }),
  glm4moe: mapOf({
    post_attention_norm: "post_attention_layernorm",
    ffn_gate: "mlp.gate_proj",
    ffn_up: "mlp.up_proj",
    ffn_gate_inp: "mlp.gate",
    ffn_gate_shexp: "mlp.shared_experts.gate_proj",
    ffn_up_shexp: "mlp.shared_experts.up_proj",
    ffn_down_shexp: "mlp.shared_experts.down_proj",
    attn_q_norm: "self_attn.q_norm",
    attn_k_norm: "self_attn.k_norm",
  }),
} as const;

function mapOf(names: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(names));
}

export type TextArchitecture = keyof typeof TEXT_ARCHITECTURES;

export interface TextLayout {
  readonly architecture: TextArchitecture;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  /** Dimensions of a head that rotate, where their rows were put in half-split order; null where they lie as published. */
  readonly reorderedDim: number | null;
}

/** By published name; what has none keeps its own. @throws CHECKPOINT_INVALID for one of a shape that has no such parts */
export function textTensors(
  tensors: readonly SourceTensor[],
  layout: TextLayout,
): Map<string, CheckpointTensor> {
  return new Map(tensors.flatMap((tensor) => named(tensor, layout)));
}

type Named = readonly [name: string, tensor: CheckpointTensor];

function named(tensor: SourceTensor, layout: TextLayout): Named[] {
  const [, layer, path = "", kind = ""] = /^(?:blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(tensor.name) ?? [];
  const whole = WHOLE.get(path);
  if (layer === undefined) return [[whole ? `${whole}.${kind}` : tensor.name, ggufTensor(tensor)]];
  const prefix = `${ROOT}.layers.${layer}`;
  if (path === "attn_qkv") return splitQkv(tensor, `${prefix}.self_attn`, kind, layout);
  const expert = /^ffn_(gate|up|down)_exps$/.exec(path)?.[1];
  if (expert) return splitExperts(tensor, prefix, expert);
  if (path === "exp_probs_b") return [[`${prefix}.mlp.gate.e_score_correction_bias`, ggufTensor(tensor)]];
  const module = TEXT_ARCHITECTURES[layout.architecture].get(path) ?? LAYER.get(path);
  if (module === undefined) return [[tensor.name, ggufTensor(tensor)]];
  const isRotated = path === "attn_q" || path === "attn_k";
  return [[`${prefix}.${module}.${kind}`, ggufTensor(tensor, isRotated ? published(layout) : {})]];
}

/** Even rows first, odd ones behind, is the order of converters; it is undone here. */
function published({ headDim, reorderedDim }: TextLayout): RowChoice {
  if (reorderedDim === null) return {};
  const half = reorderedDim / 2;
  const order: RowOrder = {
    group: headDim,
    source: (row) => (row < reorderedDim ? (row >> 1) + (row & 1) * half : row),
  };
  return { order };
}

function splitQkv(tensor: SourceTensor, path: string, kind: string, layout: TextLayout): Named[] {
  const { numHeads, numKvHeads, headDim } = layout;
  const rows = (numHeads + 2 * numKvHeads) * headDim;
  if (tensor.shape[0] !== rows) throw misfit(tensor, `${rows} rows, of q, k and v`);
  let firstRow = 0;
  return [
    ["q_proj", numHeads] as const,
    ["k_proj", numKvHeads] as const,
    ["v_proj", numKvHeads] as const,
  ].map(([name, heads]): Named => {
    const shape = [heads * headDim, ...tensor.shape.slice(1)];
    const order = name === "v_proj" ? {} : published(layout);
    const choice = { shape, firstRow, ...order };
    firstRow += heads * headDim;
    return [`${path}.${name}.${kind}`, ggufTensor(tensor, choice)];
  });
}

function splitExperts(tensor: SourceTensor, prefix: string, module: string): Named[] {
  const [experts = 0, rows = 1, cols = 1] = tensor.shape;
  if (experts > MOST_EXPERTS) throw misfit(tensor, `at most ${MOST_EXPERTS} experts`);
  return Array.from({ length: experts }, (_, expert): Named => {
    const choice = { shape: [rows, cols], firstRow: expert * rows };
    return [`${prefix}.mlp.experts.${expert}.${module}_proj.weight`, ggufTensor(tensor, choice)];
  });
}

function misfit({ name, file, shape }: SourceTensor, expected: string): GlimtError {
  return new GlimtError(
    "CHECKPOINT_INVALID",
    `${file}: tensor "${shownName(name)}" has shape [${shape.join(", ")}], expected ${expected}.`,
  );
}
