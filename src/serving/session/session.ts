/** What is said of sessions: to save and restore them, and of those that were. */

import { GlimtError } from "../../errors.ts";
import type { GenerateProgress } from "../../prompt/progress.ts";
import type { ModelParts } from "../model-core.ts";

/** How far saving or restoring is. */
export interface SessionProgress {
  /** "session": bytes written or read. Before, saving reads what of the prompt is not cached, as `generate` does. */
  readonly stage: GenerateProgress["stage"] | "session";
  /** 0..1 */
  readonly share: number;
}

/** What is in a session. */
export interface SessionFacts {
  /** Tokens whose keys and values are in it: whole pages. */
  readonly tokens: number;
  /** Of the file or Blob. */
  readonly bytes: number;
}

/** How a session is read. */
export interface RestoreSessionOptions {
  /** Ends it with ABORTED; nothing is restored then. */
  readonly signal?: AbortSignal | undefined;
  /** Told how far it is. */
  readonly onProgress?: ((progress: SessionProgress) => void) | undefined;
}

/** @throws OPTION_INVALID where pages are not kept, or lie on several devices */
export function requireSessions({ prefixCache, engine }: ModelParts, method: string): void {
  const reason = !prefixCache
    ? "was loaded with prefixCache: false, and keeps no pages"
    : engine.sideBySide && "is on a group of devices, each of which has a part of its pages";
  if (reason) throw new GlimtError("OPTION_INVALID", `${method}: the model ${reason}.`);
}
