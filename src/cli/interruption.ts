/** Ctrl-C and its kin end the command with the exit status that shells expect, and without an error line. */

/** 128 and the signal's number. */
const STATUS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
/** In which work that was told to stop has to. */
const GRACE_MS = 2000;

let status: number | null = null;
let running: AbortController | null = null;
/** How what runs is told to end by itself. */
let finish: (() => void) | null = null;

/** From now on signals end the process: at once, or first what `interruptible` was asked for. */
export function listenForInterruption(): void {
  for (const [signal, code] of Object.entries(STATUS)) process.on(signal, () => interrupt(code));
}

/** Stops work of the command's own; a second signal does not wait for it. */
export function interruptible(): AbortSignal {
  running = new AbortController();
  return running.signal;
}

/** From now on a signal asks for this in place of an abort, and is no failure; a second one does not wait for it. */
export function finishWhenInterrupted(task: () => void): void {
  running = null;
  finish = task;
}

/** The exit status of an interrupted command; null when it was not. */
export function interruptedStatus(): number | null {
  return status;
}

function interrupt(code: number): void {
  if (finish !== null) {
    const task = finish;
    finish = null;
    task();
    return;
  }
  if (status !== null || running === null) {
    // What may stand there of a progress line.
    if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
    process.exit(code);
  }
  status = code;
  running.abort();
  setTimeout(() => process.exit(code), GRACE_MS).unref();
}
