/** The keys and shapes of a vision tower's GGUF file ("mmproj") as config.json has them, and what it says of pictures. */
import type { VisionConfig } from "../../config/types.ts";
import { GlimtError } from "../../errors.ts";
import { shownValue } from "../shown.ts";
import type { GgufFile } from "./container.ts";
import { GgufValues } from "./values.ts";
import { PATCH_SLICES } from "./vision-tensors.ts";

export interface GgufVision {
  /** `vision_config`, without its model_type. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Widths that no key says: only shapes have them. */
  readonly widths: Partial<VisionConfig>;
  readonly outHiddenSize: number;
  /** GLM-OCR's tower, which has norms of q and k, and no position table. */
  readonly isOcr: boolean;
  /** Of pictures, where the file has them: pixels of one frame. */
  readonly minPixels: number | undefined;
  readonly maxPixels: number | undefined;
  readonly imageMean: readonly number[] | undefined;
  readonly imageStd: readonly number[] | undefined;
}

/** What stands in config.json's place of a tower where there is none; its pieces are as large as in all released models. */
export function absentTower(outHiddenSize: number): Readonly<Record<string, unknown>> {
  return {
    depth: 1,
    hidden_size: 4,
    num_heads: 1,
    hidden_act: "silu",
    in_channels: 3,
    image_size: 14,
    patch_size: 14,
    temporal_patch_size: 2,
    spatial_merge_size: SPATIAL_MERGE,
    out_hidden_size: outHiddenSize,
    intermediate_size: 4,
    attention_bias: false,
    rms_norm_eps: 1e-5,
  };
}

const key = (name: string) => `clip.vision.${name}`;
const SPATIAL_MERGE = 2;

/** @throws MODEL_UNSUPPORTED for another tower; CONFIG_INVALID naming the key; CHECKPOINT_INVALID */
export function ggufVision(file: GgufFile): GgufVision {
  const values = new GgufValues(file);
  const projector = values.text("clip.projector_type") ?? values.text("clip.vision.projector_type");
  if (values.text("general.architecture") !== "clip" || projector !== "glm4v") {
    const found = `architecture ${shownValue(values.text("general.architecture"))} and projector ${shownValue(projector)}`;
    throw new GlimtError(
      "MODEL_UNSUPPORTED",
      `${file.name} has ${found}; a vision tower of these models has "clip" and "glm4v".`,
    );
  }
  if (!values.flag("clip.use_silu")) {
    throw new GlimtError("MODEL_UNSUPPORTED", `${file.name}: clip.use_silu is not true, as in GLM models.`);
  }
  const shapes = new Map(file.tensors.map(({ name, shape }) => [name, shape]));
  const shapeOf = (name: string): readonly number[] => {
    const shape = shapes.get(name);
    if (shape) return shape;
    throw new GlimtError("CHECKPOINT_INVALID", `${file.name} has no tensor "${name}".`);
  };
  const isOcr = shapes.has("v.blk.0.attn_q_norm.weight");
  const [hiddenSize = 0, inChannels = 0, patchSize = 0] = shapeOf("v.patch_embd.weight");
  const [outHiddenSize = 0] = shapeOf("mm.model.fc.weight");
  const hasMerge = values.has(key("spatial_merge_size"));
  const optional = (name: string) => (values.has(key(name)) ? values.size(key(name)) : undefined);
  return {
    json: {
      depth: values.size(key("block_count")),
      hidden_size: hiddenSize,
      num_heads: values.size(key("attention.head_count")),
      hidden_act: "silu",
      in_channels: inChannels,
      image_size: isOcr ? values.size(key("image_size")) : patchSize * tableSide(file, shapeOf),
      patch_size: patchSize,
      temporal_patch_size: PATCH_SLICES.filter((name) => shapes.has(name)).length,
      spatial_merge_size: hasMerge ? values.size(key("spatial_merge_size")) : SPATIAL_MERGE,
      out_hidden_size: outHiddenSize,
      intermediate_size: values.size(key("feed_forward_length")),
      attention_bias: shapes.has("v.blk.0.attn_qkv.bias"),
      rms_norm_eps: values.number(key("attention.layer_norm_epsilon")),
    },
    widths: {
      blockIntermediateSize: shapeOf("v.blk.0.ffn_up.weight")[0] as number,
      mergerIntermediateSize: shapeOf("mm.up.weight")[0] as number,
    },
    outHiddenSize,
    isOcr,
    minPixels: optional("image_min_pixels"),
    maxPixels: optional("image_max_pixels"),
    imageMean: values.numbers(key("image_mean")),
    imageStd: values.numbers(key("image_std")),
  };
}

function tableSide(file: GgufFile, shapeOf: (name: string) => readonly number[]): number {
  const name = "v.position_embd.weight";
  const [positions = 0] = shapeOf(name);
  const side = Math.sqrt(positions);
  if (Number.isInteger(side)) return side;
  throw new GlimtError(
    "CHECKPOINT_INVALID",
    `${file.name}: "${name}" has ${positions} rows, which are no square.`,
  );
}
