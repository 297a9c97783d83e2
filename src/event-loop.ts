/** Turns of the event loop: between pieces of long work timers, input, network events and painting get their chance. */
import { throwIfAborted } from "./errors.ts";

/** How long work may hold the thread: short enough for a smooth page, long enough that the turns cost nothing. */
export const TURN_MS = 20;

/** When the thread last came back from a turn: one clock for all work, since many short pieces hold it as one long one. */
let lastTurn = Number.NEGATIVE_INFINITY;

/**
 * Takes a turn when the last one is long ago. A loop of awaits that may all be answered at once calls it: promises
 * alone never leave the queue of microtasks. @throws ABORTED
 */
export async function turnWhenDue(signal?: AbortSignal): Promise<void> {
  if (performance.now() - lastTurn >= TURN_MS) await nextTask();
  throwIfAborted(signal);
}

/** Resolves in a later task, after timers, input and network events had their chance. */
export async function nextTask(): Promise<void> {
  await laterTask();
  lastTurn = performance.now();
}

/** The host's own: what tests put in its place later runs when they say so. */
const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };

function laterTask(): Promise<void> {
  return new Promise((resolve) => {
    if (setImmediate) {
      setImmediate(resolve);
    } else if (typeof MessageChannel === "undefined") {
      setTimeout(resolve);
    } else {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve();
      };
      port2.postMessage(null);
    }
  });
}
