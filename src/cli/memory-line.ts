/** What loading a model takes of its device, in one line. */
import { formatBytes } from "../compiler/print.ts";
import type { LoadMemory } from "../index.ts";

/** Null where the device can not tell what is free: its memory is the machine's. */
export function memoryLine({ weightBytes, kvCacheBytes, freeBytes }: LoadMemory): string | null {
  if (freeBytes === undefined) return null;
  const cache = kvCacheBytes > 0 ? `KV cache ${formatBytes(kvCacheBytes)}` : "a KV cache that grows";
  return `memory: weights ${formatBytes(weightBytes)}, ${cache}; ${formatBytes(freeBytes)} are free`;
}
