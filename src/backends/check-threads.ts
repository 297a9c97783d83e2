/** What `threads` may be for backends that have no threads to choose. */
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { BackendName, EngineOptions } from "./backend.ts";

/** @throws OPTION_INVALID for anything but 1, or nothing. */
export function checkThreads(backend: BackendName, { threads }: EngineOptions = {}): void {
  if (threads === undefined || threads === 1) return;
  throw new GlimtError(
    "OPTION_INVALID",
    `threads is ${shown(threads)}, and the ${backend} backend has none to choose; leave the option out.`,
  );
}
