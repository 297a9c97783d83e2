/** What became of tensors, in a line. */
import type { StorageTotals } from "../checkpoint/tensor-storage.ts";
import { formatBytes } from "../compiler/print.ts";

export function conversionText({
  tensors,
  encoding,
  bytes,
  dtype,
  storedBytes,
  loss,
}: StorageTotals): string {
  const from = `${tensors} of ${encoding} (${formatBytes(bytes)})`;
  return `${from} -> ${dtype} (${formatBytes(storedBytes)}), ${loss === "none" ? "without loss" : loss}`;
}
