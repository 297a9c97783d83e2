/** How large a file that is read whole may be: whatever serves it, it is held against this while it is read. */
import { GlimtError } from "../errors.ts";

const MIB = 1 << 20;
const MOST_BYTES = 64 * MIB;
/** The largest published vocabularies take 20 MiB. */
const MOST_TOKENIZER_BYTES = 256 * MIB;

export function mostBytesOf(name: string): number {
  return name === "tokenizer.json" ? MOST_TOKENIZER_BYTES : MOST_BYTES;
}

/** @throws CHECKPOINT_INVALID when `bytes` are more than a file of this name can have. */
export function checkSmall(location: string, name: string, bytes: number): void {
  const most = mostBytesOf(name);
  if (bytes <= most) return;
  throw new GlimtError(
    "CHECKPOINT_INVALID",
    `${name} in ${location} has more than ${most / MIB} MiB, which no such file of a checkpoint needs.`,
  );
}
