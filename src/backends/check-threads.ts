/** What `threads` may be for now: every kernel is written in parts that threads can share, but no backend starts any. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { EngineOptions } from "./backend.ts";

/** @throws OPTION_INVALID for anything but 1, or nothing. */
export function checkThreads({ threads }: EngineOptions = {}): void {
  if (threads === undefined || threads === 1) return;
  const reason =
    Number.isInteger(threads) && threads > 1
      ? "no backend runs on more than one thread yet; leave the option out, or pass 1"
      : "expected a whole number from 1";
  throw new GlimtError("OPTION_INVALID", `threads is ${shown(threads)}: ${reason}.`);
}
