/**
 * How far a correct model may be from the judge, by what lies between: docs/verify.md has the table. Bounds are shares
 * of the spread of the expected values.
 */
import type { TensorStorage } from "../checkpoint/tensor-storage.ts";
import type { DType, TensorDType } from "../tensor/dtype.ts";
import { isBlockFormat } from "../tensor/storage.ts";

export const BOUNDS = {
  /** Both compute in float32 with the same weights: sums in another order. */
  f32: 1e-4,
  /** Somewhere activations, weights or the cache have the 8 bits of bf16. */
  rounded: 0.05,
  /** Activations meet weights or the cache in blocks of 8 bits; weights in 8 bits may have been made here. */
  blocks: 0.05,
  /** Weights became less than 8 bits, here or in a file that the judge did not read: that they differ was asked for. */
  requantised: 0.25,
} as const;

export type Exactness = keyof typeof BOUNDS;

/** From the nearest to the farthest. */
const ORDER = Object.keys(BOUNDS) as Exactness[];

/** What was computed how. */
export interface Computed {
  /** Of the judge. */
  readonly judge: "f32" | "bf16";
  readonly activations: DType;
  readonly kvCache: TensorDType;
  /** Whether the judge read the checkpoint that a GGUF model was made of. */
  readonly isOtherFile: boolean;
}

const PLAIN: readonly string[] = ["F64", "F32", "F16", "BF16"];

/** @param weights what became of the tensors of the part that is looked at: the tower, or all of them */
export function exactnessOf(
  { judge, activations, kvCache, isOtherFile }: Computed,
  weights: readonly TensorStorage[],
): Exactness {
  const reasons = weights.map(({ encoding, dtype, loss }): Exactness => {
    const isMade = (loss === "quantised" || loss === "requantised") && dtype !== "q8";
    const isOther = isOtherFile && ![...PLAIN, "Q8_0"].includes(encoding);
    if (isMade || isOther) return "requantised";
    if (isBlockFormat(dtype)) return "blocks";
    return loss === "rounded" ? "rounded" : "f32";
  });
  if (kvCache === "q8") reasons.push("blocks");
  if (judge !== "f32" || activations !== "f32" || kvCache === "bf16" || kvCache === "f16")
    reasons.push("rounded");
  return ORDER.findLast((exactness) => reasons.includes(exactness)) ?? "f32";
}
