/** Files of the package by name, each a chunk of its own: what the worker's one script has not in it, and its text. */

import { kernelFile } from "./backends/wasm/kernel-files.ts";
import { codecFile, isCodec } from "./media/codecs/codec-files.ts";

/** @throws CODEC_UNAVAILABLE, BACKEND_UNAVAILABLE */
export async function packageFile(name: string): Promise<unknown> {
  if (name === "worker.js") return (await import("./worker.ts?text")).default;
  return isCodec(name) ? codecFile(name) : kernelFile(name);
}
