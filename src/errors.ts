/** Every error glimt throws on purpose. `code` is stable; the message says what was wrong and what to do. */

export const ERROR_CODES = [
  "ABORTED",
  "ADAPTER_INVALID",
  "BACKEND_UNAVAILABLE",
  "CACHE_FAILED",
  "CHECKPOINT_INVALID",
  "CHECKPOINT_NOT_FOUND",
  "CODEC_UNAVAILABLE",
  "CONFIG_INVALID",
  "CONTEXT_OVERFLOW",
  "DEVICE_FAILED",
  "DISPOSED",
  "GRAPH_INVALID",
  "GROUP_FAILED",
  "IMAGE_INVALID",
  "IMAGE_TOO_LARGE",
  "INPUT_INVALID",
  "MODEL_UNSUPPORTED",
  "OPTION_INVALID",
  "OUTPUT_FAILED",
  "OUT_OF_MEMORY",
  "PROGRAM_INVALID",
  "SESSION_INVALID",
  "SOURCE_REFUSED",
  "SOURCE_TOO_LARGE",
  "TEMPLATE_INVALID",
  "TENSOR_INVALID",
  "TIMED_OUT",
  "TOKENIZER_INVALID",
  "VIDEO_INVALID",
  "WEIGHTS_INVALID",
] as const;

/**
 * What each of them means, and whose fault it mostly is: docs/errors.md.
 *
 * @useDeclaredType
 */
export type ErrorCode = (typeof ERROR_CODES)[number];

/** `code` is stable; `message` names what was wrong and what to change; `cause` may hold what was behind it. */
export class GlimtError extends Error {
  /** What kind of error it is; the same in every version. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "GlimtError";
    this.code = code;
  }
}

/** Throws `ABORTED` when the signal has fired; call it between pieces of long work. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/** @param signal that has fired; undefined where something was left without one */
export function abortError(signal: AbortSignal | undefined): GlimtError {
  return new GlimtError("ABORTED", "The operation was aborted.", { cause: signal?.reason });
}

/** Waits no longer than until the signal fires; the task itself goes on. @throws ABORTED, and what the task does */
export function unlessAborted<T>(task: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return task;
  return new Promise((resolve, reject) => {
    const leave = () => reject(abortError(signal));
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    task.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}
