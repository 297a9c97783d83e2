/**
 * What runs in the SDK's workers: one script that needs no other file. It has no import or export of its own, so that
 * it loads as a module and as a classic script, under whatever name a bundler gives it.
 */

import { mediaTasks } from "./media/tasks.ts";
import { serveTasks, type WorkerPort } from "./workers/serve.ts";

const isNode = typeof process === "object" && typeof process.versions?.node === "string";
/** A variable, so that bundlers for browsers do not look for it. */
const THREADS: string = "node:worker_threads";

async function findPort(): Promise<WorkerPort> {
  if (isNode) {
    const { parentPort }: typeof import("node:worker_threads") = await import(
      /* webpackIgnore: true */ /* @vite-ignore */ THREADS
    );
    if (parentPort) {
      return {
        post: (message, transfer) => parentPort.postMessage(message, transfer as never[]),
        listen: (listener) => void parentPort.on("message", listener),
      };
    }
  }
  return {
    post: (message, transfer) => self.postMessage(message, { transfer: [...transfer] }),
    listen: (listener) => {
      self.onmessage = ({ data }) => listener(data);
    },
  };
}

findPort().then((port) => serveTasks(port, mediaTasks(), GLIMT_VERSION));
