/** Which weights become blocks in a quantised checkpoint: those of loading with `dtype`, but for what is to stay. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { ChooseWeightFormat } from "../graph/builder.ts";
import type { MadeBlockFormat } from "../tensor/blocks.ts";
import { holdsColumns } from "../tensor/storage.ts";
import { chooseWeightFormat } from "./weight-dtype.ts";

export const KEPT_PARTS = ["vision", "embeddings"] as const;

/**
 * "vision": the vision tower. "embeddings": the embedding table and the head.
 *
 * @useDeclaredType
 */
export type KeptPart = (typeof KEPT_PARTS)[number];

export interface KeptWeights {
  readonly dtype: MadeBlockFormat;
  readonly visionDtype?: MadeBlockFormat | undefined;
  readonly keep?: readonly KeptPart[] | undefined;
  readonly for?: "vllm" | undefined;
}

const EMBEDDINGS = /\.embed_tokens\.weight$|^lm_head\.weight$/;
/** vLLM stacks them with keys and values, which under q4 are in q8. */
const QUERIES = /^model\.language_model\..*\.self_attn\.q_proj\.weight$/;

export function chooseKeptFormat(
  checkpoint: Pick<Checkpoint, "tensorDType">,
  { dtype, visionDtype, keep = [], for: reader }: KeptWeights,
): ChooseWeightFormat {
  const asStored = chooseWeightFormat(checkpoint, {});
  const asLoaded = chooseWeightFormat(checkpoint, { dtype, visionDtype });
  const keepsEmbeddings = keep.includes("embeddings") || reader === "vllm";
  return (tensors, cols) => {
    const isOne = (pattern: RegExp) => tensors.some((name) => pattern.test(name));
    if (keepsEmbeddings && isOne(EMBEDDINGS)) return asStored(tensors, cols);
    if (reader === "vllm" && isOne(QUERIES) && holdsColumns("q8", cols)) return "q8";
    return asLoaded(tensors, cols);
  };
}
