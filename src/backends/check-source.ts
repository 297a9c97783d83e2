/** Formats of blocks that come from checkpoints are stored as they lie: nothing becomes them, and they become nothing else. */
import { GlimtError } from "../errors.ts";
import { isRoundedFormat } from "../tensor/storage.ts";
import type { WeightRows } from "./backend.ts";

/** For engines that take a weight in. @throws INPUT_INVALID */
export function checkSource({ spec, dtype }: WeightRows): void {
  if (spec.dtype === dtype || (isRoundedFormat(spec.dtype) && isRoundedFormat(dtype))) return;
  throw new GlimtError(
    "INPUT_INVALID",
    `Weight "${spec.name}" comes in ${dtype} and is to be stored in ${spec.dtype}, which is not made of it; load the model with another dtype.`,
  );
}
