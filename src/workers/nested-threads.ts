/** Workers of a worker whose script is one file, and may have been started from its text. */

import type { StartThread, Threads } from "./thread.ts";
import { startFrom, startText } from "./web-workers.ts";

export { startFrom, startText };

/** From the file that this one was started from. */
export const startOwnFile: StartThread = (events) => {
  const { href } = self.location;
  // The page takes the address of a text back once its worker runs.
  if (href.startsWith("blob:")) throw new Error("this worker has no file");
  return startFrom(href)(events);
};

/** It may lie beside this one, but nobody is asked to serve it: its text is in this script. */
const startKernelFile: StartThread = () => {
  throw new Error("this worker knows of no other file");
};

export const nestedThreads: Threads = { startOwnFile, startKernelFile, startFrom, startText };
