/** How weights are stored on the device: as asked, or as the checkpoint has them. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { WeightDType } from "../tensor/dtype.ts";

/** For a weight made of several tensors of different types, f32 holds them all exactly. */
export function storedWeightDType(
  checkpoint: Pick<Checkpoint, "tensorDType">,
  asked: WeightDType | undefined,
): (tensors: readonly string[]) => WeightDType {
  return (tensors) => {
    if (asked) return asked;
    const found = new Set(tensors.map((name) => checkpoint.tensorDType(name) ?? "f32"));
    const [only] = found;
    return found.size === 1 && only ? only : "f32";
  };
}
