/** Workers of browsers, and of runtimes that have the same. */

import type { StartThread, ThreadEvents, WorkerThread } from "./thread.ts";

/** Browsers may say any number, and the page itself, other pages and other programs want to run too. */
export function usualThreads(): number {
  return Math.min(4, globalThis.navigator?.hardwareConcurrency ?? 1);
}

export function startFrom(url: string | URL): StartThread {
  return (events) => threadOf(new Worker(url, { type: "module" }), events);
}

/** Starts it from its text, for where the file is not to be had. */
export function startText(loadText: () => Promise<string>): StartThread {
  return async (events) => {
    if (typeof Worker === "undefined") throw new Error("there are no workers here");
    const url = URL.createObjectURL(new Blob([await loadText()], { type: "text/javascript" }));
    const revoke = () => URL.revokeObjectURL(url);
    try {
      return threadOf(new Worker(url), {
        message: (message) => {
          revoke();
          events.message(message);
        },
        ended: (reason, cause) => {
          revoke();
          events.ended(reason, cause);
        },
      });
    } catch (error) {
      revoke();
      throw error;
    }
  };
}

/** What is heard of a worker, and said to it. */
export function threadOf(worker: Worker, events: ThreadEvents): WorkerThread {
  worker.onmessage = ({ data }) => events.message(data);
  worker.onmessageerror = () => events.ended("a message could not be read");
  worker.onerror = (event) => {
    event.preventDefault?.();
    events.ended(event.message ? `it failed: ${event.message}` : "it could not be loaded", event.error);
  };
  return {
    post: (message, transfer) => worker.postMessage(message, [...transfer]),
    terminate: () => worker.terminate(),
    keepAlive: () => {},
  };
}
