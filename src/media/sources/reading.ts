/** One source while it is read: its limits of bytes and of time, what is allowed, and how errors name it. */
import { GlimtError, throwIfAborted } from "../../errors.ts";
import { Patience } from "../../http/patience.ts";
import type { SourceDescription, SourceRule } from "./source-rule.ts";

export interface ReadLimits {
  /** What may be read; default: everything. */
  readonly sources?: SourceRule | undefined;
  /** Most bytes of one source, as they are after decompression by the server's word. Default 512 MiB. */
  readonly maxSourceBytes?: number | undefined;
  /** Most milliseconds without a byte (default a minute); ten times as many for the whole source. */
  readonly sourceTimeout?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What is handed to whoever reads. */
export interface Reading {
  /** "Image page.png": how errors begin. */
  readonly what: string;
  readonly rule: SourceRule;
  readonly maxBytes: number;
  /** Fires for the caller's signal and for our own limits of time. */
  readonly signal: AbortSignal;
  /** Something came: the time without a byte begins anew. */
  readonly progress: () => void;
}

const DEFAULT_MAX_SOURCE_BYTES = 512 * 2 ** 20;
const DEFAULT_SOURCE_TIMEOUT = 60_000;

/** Runs `task` within the limits. It is left behind when they end it: a read that is stuck holds nobody up. */
export async function withinLimits<T>(
  what: string,
  limits: ReadLimits,
  task: (reading: Reading) => Promise<T>,
): Promise<T> {
  const {
    signal,
    maxSourceBytes = DEFAULT_MAX_SOURCE_BYTES,
    sourceTimeout = DEFAULT_SOURCE_TIMEOUT,
  } = limits;
  throwIfAborted(signal);
  const ended = new AbortController();
  let stop: (error: GlimtError) => void = () => {};
  const end = new Promise<never>((_, reject) => {
    stop = (error) => {
      reject(error);
      ended.abort(error);
    };
  });
  const patience = new Patience({ what, idle: sourceTimeout, option: "sourceTimeout" }, stop);
  const abort = () =>
    stop(new GlimtError("ABORTED", "The operation was aborted.", { cause: signal?.reason }));
  signal?.addEventListener("abort", abort);
  const reading: Reading = {
    what,
    rule: limits.sources ?? { type: "any" },
    maxBytes: maxSourceBytes,
    signal: ended.signal,
    progress: () => patience.heard(),
  };
  try {
    return await Promise.race([task(reading), end]);
  } finally {
    patience.end();
    signal?.removeEventListener("abort", abort);
  }
}

/** @throws SOURCE_TOO_LARGE for a size that is known */
export function checkSize(size: number, { what, maxBytes }: Pick<Reading, "what" | "maxBytes">): void {
  if (size > maxBytes) throw tooLarge(what, `has ${size} bytes, more than the limit of ${maxBytes}`);
}

/** For a source whose end was not seen. */
export function moreThanLimit({ what, maxBytes }: Pick<Reading, "what" | "maxBytes">): GlimtError {
  return tooLarge(what, `has more than ${maxBytes} bytes, the limit`);
}

function tooLarge(what: string, found: string): GlimtError {
  return new GlimtError(
    "SOURCE_TOO_LARGE",
    `${what} ${found}; raise the option maxSourceBytes if you trust it.`,
  );
}

/** The same words whatever there is at that place, so that they tell nothing of it. */
export function refused(what: string, kind: SourceDescription["kind"]): GlimtError {
  const unknown = kind === "http" ? ", or its host is not known" : "";
  const advice = kind === "bytes" || kind === "data" ? "" : " Give its bytes, or widen the option.";
  return new GlimtError("SOURCE_REFUSED", `${what} is not allowed by the option sources${unknown}.${advice}`);
}
