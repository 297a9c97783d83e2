/** One source while it is read: its limits of bytes and of time, what is allowed, and how errors name it. */
import { GlimtError, throwIfAborted } from "../../errors.ts";
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
/** So many times its limit without a byte may a source take altogether. */
const WHOLE = 10;
/** Milliseconds in which what has come meanwhile is heard: this thread may have been busy with other work. */
const GRACE = 100;
/** Timers can not wait longer. */
const LONGEST_TIMER = 2 ** 31 - 1;

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
  const start = performance.now();
  let heard = start;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let abort = () => {};
  const end = new Promise<never>((_, reject) => {
    const stop = (error: GlimtError) => {
      reject(error);
      ended.abort(error);
    };
    abort = () => stop(new GlimtError("ABORTED", "The operation was aborted.", { cause: signal?.reason }));
    const left = () => Math.min(heard + sourceTimeout, start + WHOLE * sourceTimeout) - performance.now();
    const watch = () => {
      if (left() > 0) timer = setTimeout(watch, Math.min(Math.ceil(left()), LONGEST_TIMER));
      else timer = setTimeout(() => (left() > 0 ? watch() : stop(late())), GRACE);
    };
    const late = () => timedOut(what, sourceTimeout, performance.now() - start >= WHOLE * sourceTimeout);
    watch();
  });
  signal?.addEventListener("abort", abort);
  const reading: Reading = {
    what,
    rule: limits.sources ?? { type: "any" },
    maxBytes: maxSourceBytes,
    signal: ended.signal,
    progress: () => {
      heard = performance.now();
    },
  };
  try {
    return await Promise.race([task(reading), end]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

function timedOut(what: string, sourceTimeout: number, isSlow: boolean): GlimtError {
  const found = isSlow
    ? `is not read after ${WHOLE * sourceTimeout} ms, ${WHOLE} times the option sourceTimeout`
    : `gave nothing for ${sourceTimeout} ms`;
  return new GlimtError("TIMED_OUT", `${what} ${found}; raise the option sourceTimeout if it is only slow.`);
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
