/** A worker's way back to the thread that started it, in Node and elsewhere. */

import type { Answer, Call, FileAsk, FileReply, Ready } from "./messages.ts";

export interface WorkerPort {
  post(message: Ready | Answer | FileAsk, transfer: readonly Transferable[]): void;
  listen(listener: (message: Call | FileReply) => void): void;
}

/** A variable, so that bundlers for browsers do not look for it. */
const THREADS: string = "node:worker_threads";

export async function ownPort(): Promise<WorkerPort> {
  const isNode = typeof process === "object" && typeof process.versions?.node === "string";
  const parentPort = isNode ? await nodePort() : null;
  if (parentPort) {
    return {
      post: (message, transfer) => parentPort.postMessage(message, transfer as never[]),
      listen: (listener) => void parentPort.on("message", listener),
    };
  }
  return {
    post: (message, transfer) => self.postMessage(message, { transfer: [...transfer] }),
    listen: (listener) => {
      self.onmessage = ({ data }) => listener(data);
    },
  };
}

async function nodePort() {
  const threads: typeof import("node:worker_threads") = await import(
    /* webpackIgnore: true */ /* @vite-ignore */ THREADS
  );
  return threads.parentPort;
}
