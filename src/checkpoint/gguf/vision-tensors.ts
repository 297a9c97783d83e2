/** Tensors of a vision tower's GGUF file ("mmproj") under Hugging Face's names. */
import type { CheckpointTensor } from "../stored-weight.ts";
import { ggufTensor, interleaved, type SourceTensor } from "./weight.ts";

const ROOT = "model.visual";

/** Maps, since a file may call a tensor as objects call what they inherit. */
const WHOLE: ReadonlyMap<string, string> = mapOf({
  "v.patch_embd": "patch_embed.proj",
  "v.norm_embd": "post_conv_layernorm",
  "v.position_embd": "embeddings.position_embedding",
  "v.post_ln": "post_layernorm",
  "mm.patch_merger": "downsample",
  "mm.model.fc": "merger.proj",
  "mm.post_norm": "merger.post_projection_norm",
  "mm.gate": "merger.gate_proj",
  "mm.up": "merger.up_proj",
  "mm.down": "merger.down_proj",
});

const BLOCK: ReadonlyMap<string, string> = mapOf({
  attn_qkv: "attn.qkv",
  attn_out: "attn.proj",
  attn_q_norm: "attn.q_norm",
  attn_k_norm: "attn.k_norm",
  ln1: "norm1",
  ln2: "norm2",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
});

function mapOf(names: Readonly<Record<string, string>>): ReadonlyMap<string, string> {
  return new Map(Object.entries(names));
}

/** The two frames of the patch convolution, which are one kernel of three dimensions as published. */
export const PATCH_SLICES = ["v.patch_embd.weight", "v.patch_embd.weight.1"];

/** By published name; what has none keeps its own. */
export function visionTensors(tensors: readonly SourceTensor[]): Map<string, CheckpointTensor> {
  const found = new Map<string, CheckpointTensor>();
  for (const tensor of tensors) {
    if (!PATCH_SLICES.includes(tensor.name)) found.set(publishedName(tensor.name), ggufTensor(tensor));
  }
  const slices = PATCH_SLICES.flatMap((name) => tensors.filter((tensor) => tensor.name === name));
  const kernel = patchKernel(slices);
  if (kernel) found.set(`${ROOT}.patch_embed.proj.weight`, kernel);
  return found;
}

function publishedName(name: string): string {
  const [, block, path = "", kind = ""] = /^(?:v\.blk\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name) ?? [];
  const module = (block === undefined ? WHOLE : BLOCK).get(path);
  if (module === undefined) return name;
  return `${ROOT}.${block === undefined ? "" : `blocks.${block}.`}${module}.${kind}`;
}

/** [out, channels, height, width] of each frame to [out, channels, frames, height, width]. */
function patchKernel(slices: readonly SourceTensor[]): CheckpointTensor | null {
  const [first] = slices;
  if (!first) return null;
  const parts = slices.map((slice) => ggufTensor(slice));
  const refused = parts.find(({ refusal }) => refusal !== undefined);
  if (refused) return refused;
  const readable = parts.flatMap((part) => (part.refusal === undefined ? [part] : []));
  const [out = 0, channels = 0, height = 0, width = 0] = first.shape;
  const isOther = slices.find(
    ({ shape, type }) => shape.join() !== first.shape.join() || type !== first.type,
  );
  if (isOther) {
    const refusal = `is [${isOther.shape.join(", ")}] of ${isOther.encoding}, ${first.name} [${first.shape.join(", ")}] of ${first.encoding}`;
    const { name, shape, encoding, bytes, file, offset } = isOther;
    return { name, shape, encoding, bytes, file, offset, refusal };
  }
  return interleaved(readable, [out, channels, slices.length, height, width], height * width);
}
