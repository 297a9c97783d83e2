/** What engines answer when they are given memory that is not theirs, or a weight in place of a tensor. */
import { GlimtError } from "../errors.ts";
import type { DeviceTensor, DeviceWeight } from "./backend.ts";

/** For memory that was freed or is another engine's: DISPOSED. */
export function notOwned(memory: DeviceTensor | DeviceWeight): GlimtError {
  const what = "format" in memory ? "weight" : "tensor";
  return new GlimtError("DISPOSED", `The ${what} was freed, or belongs to another engine.`);
}

/** For what is no tensor of the engine; JavaScript may hand it a weight: INPUT_INVALID. */
export function notTensor(memory: DeviceTensor | DeviceWeight): GlimtError {
  if (!("format" in memory)) return notOwned(memory);
  const { format, rows, cols, layout } = memory;
  return new GlimtError(
    "INPUT_INVALID",
    `The weight ${format}[${rows}, ${cols}] in ${layout} is no tensor: it can not be read, written, copied or bound.`,
  );
}
