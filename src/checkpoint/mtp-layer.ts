/** The layer behind the last of a checkpoint that predicts several tokens at once (MTP), if it has one. */
import type { MtpLayer } from "../models/decoder.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** @returns which of its weights are its own; undefined where there is no such layer */
export function mtpLayerOf({
  tensors,
  config,
}: Pick<Checkpoint, "tensors" | "config">): MtpLayer | undefined {
  const has = (name: string) =>
    tensors.has(`model.language_model.layers.${config.text.numHiddenLayers}.${name}.weight`);
  if (!has("eh_proj")) return undefined;
  return {
    ownEmbedding: has("embed_tokens"),
    ownNorm: has("shared_head.norm"),
    ownHead: has("shared_head.head"),
  };
}
