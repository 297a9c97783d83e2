/** What a server tells of itself: one entry for each thing that happened, made of plain values. */
import { GlimtError } from "../errors.ts";
import { RequestError } from "../protocols/errors.ts";

/** A thing that happened. */
export interface LogEntry {
  /** "error" for what is the server's own failure. */
  readonly level: "info" | "error";
  /** "request": one has ended. "failure": why one did that should not have. */
  readonly event: "request" | "failure";
  /** As the client was told. */
  readonly requestId: string;
  /** Of HTTP. */
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** As the client was told. */
  readonly status: number;
  /** From the request to the end of its answer. */
  readonly milliseconds: number;
  /** As the request named it. */
  readonly model?: string;
  /** Milliseconds before it was its turn. */
  readonly queued?: number;
  /** Milliseconds until its first token. */
  readonly firstToken?: number;
  /** Tokens of its prompts. */
  readonly promptTokens?: number;
  /** Of them, those that were found in the cache. */
  readonly cachedTokens?: number;
  /** Tokens of its answers. */
  readonly completionTokens?: number;
  /** Why each of its answers ended. */
  readonly finishReasons?: readonly string[];
  /** Of one that failed: the error's code. */
  readonly error?: string;
  /** The field that the error names. */
  readonly param?: string;
  /** Of a failure: what its client was not told. */
  readonly cause?: string;
}

/** An error that nobody expected, with where it was thrown. */
export function causeOf(error: unknown): string {
  if (error instanceof RequestError || error instanceof GlimtError) {
    const { cause } = error as { cause?: unknown };
    return cause === undefined ? error.message : `${error.message} (${causeOf(cause)})`;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
