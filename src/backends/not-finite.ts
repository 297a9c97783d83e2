/** The error of a weight that an engine found to hold NaN or infinity. */
import { GlimtError } from "../errors.ts";
import type { WeightRows } from "./backend.ts";

/**
 * Engines count such values while they store a weight; where they come from is looked for only then.
 *
 * @param bad how many values were found, as stored.
 */
export async function notFinite(source: WeightRows, bad: number): Promise<GlimtError> {
  const { name, dtype } = source.spec;
  const origin = await source.findNotFinite?.();
  const message = origin
    ? `${origin.tensor} in ${origin.file} holds NaN or infinite values: the checkpoint is damaged, or it was saved in a type too narrow.`
    : `Weight "${name}" has ${bad} values that are NaN or infinite in ${dtype}; the file is damaged${dtype === "f16" ? ", or needs dtype bf16 or f32" : ""}.`;
  return new GlimtError("WEIGHTS_INVALID", message);
}
