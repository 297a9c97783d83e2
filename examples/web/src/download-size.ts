/** How much would be downloaded for a model. */
import { describeCheckpoint, listModels, openCheckpoint, openFiles } from "glimt";
import type { ModelChoice } from "./choice.ts";

/**
 * Bytes of its weights, less those that are kept here. Reads what describes it, and the heads of its weights.
 *
 * @throws what `openFiles` and `openCheckpoint` do
 */
export async function downloadSize({ location, hub }: ModelChoice, signal: AbortSignal): Promise<number> {
  const files = await openFiles(location, { ...(hub && { hub }), signal });
  const { files: weights } = describeCheckpoint(await openCheckpoint(files, { signal }));
  const bytes = weights.reduce((sum, file) => sum + file.bytes, 0);
  const kept = await listModels({ ...(hub && { hub }) }).catch(() => []);
  const isKept = kept.some(({ repository, bytes: size }) => location === repository && size >= bytes);
  return isKept ? 0 : bytes;
}
