/** Waiting for work that may be given up. */

import { abortError } from "../errors.ts";

/**
 * For messages that came while this thread computed: they are looked at after timers, and an answer that lies ready is
 * not late.
 */
const GRACE_MILLISECONDS = 50;

/**
 * Calls `giveUp` once, with ABORTED when the signal fires or with `late(timeout)` when the time is up.
 *
 * @returns what ends the watch.
 */
export function watch(
  signal: AbortSignal | undefined,
  timeout: number | undefined,
  late: (milliseconds: number) => Error,
  giveUp: (error: Error) => void,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
  const end = (error: Error) => {
    stop();
    giveUp(error);
  };
  const onAbort = () => end(abortError(signal));
  signal?.addEventListener("abort", onAbort);
  if (timeout !== undefined) {
    timer = setTimeout(() => {
      timer = setTimeout(() => end(late(timeout)), GRACE_MILLISECONDS);
    }, timeout);
  }
  return stop;
}
