/** The vision tower alone: features of images and videos, each by itself, for callers that keep them. */
import type { Sources } from "../media/sources/source-rule.ts";
import { mediaIdentities } from "../prompt/media-identity.ts";
import type { VisionItem } from "../prompt/vision-items.ts";
import type { FeatureRange } from "../runtime/feature-slab.ts";
import type { VisionEncoder } from "../runtime/vision-encoder.ts";
import { toFloat32 } from "../tensor/elements.ts";
import type { AdapterChoice } from "./adapter-options.ts";
import { featureKey } from "./feature-keys.ts";
import type { ModelCore } from "./model-core.ts";

/** How pictures and videos are encoded. */
export interface EncodeOptions {
  /** Where they may be read from, in place of what the model was loaded with. */
  readonly sources?: Sources | undefined;
  /** Adapters to encode with, as `generate` takes them; those of the request that uses the features must be the same. */
  readonly adapters?: readonly AdapterChoice[] | undefined;
  /** Ends encoding with ABORTED. */
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the share of the work that is done, 0..1. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

export const ENCODE_OPTION_NAMES: readonly (keyof EncodeOptions)[] = [
  "sources",
  "adapters",
  "signal",
  "onProgress",
];

/**
 * @param read what is to be encoded, behind taking the adapters: they stay if they are unloaded while it is read
 * @returns for each item its features, f32 [features, outHiddenSize]
 * @throws OPTION_INVALID for an adapter that is not there; OUT_OF_MEMORY, ABORTED, DISPOSED, and what `read` throws
 */
export async function encodeMedia(
  core: ModelCore,
  read: () => Promise<readonly VisionItem[]>,
  { adapters, signal: given, onProgress }: EncodeOptions,
): Promise<Float32Array[]> {
  const stages = await core.adapters.acquire(adapters);
  const { signal, leave } = core.enter(given);
  try {
    const items = await read();
    if (items.length === 0) return [];
    const keys = core.parts.encoderCache.isOn ? await keysOf(items, stages.adapters, signal) : null;
    return await encodeItems(core, stages.encoder, items, keys, { signal, onProgress });
  } catch (error) {
    // What the disposal stopped was not aborted by the caller.
    core.throwIfDisposed();
    throw error;
  } finally {
    leave();
    await stages.release();
  }
}

/** Those of requests with these pictures and no salt. */
async function keysOf(
  items: readonly VisionItem[],
  adapters: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const identities = await mediaIdentities(items, signal);
  return identities.map((identity) => featureKey(adapters, "", identity));
}

/** One run of the tower at a time: answers that are under way go on between them. */
async function encodeItems(
  core: ModelCore,
  encoder: VisionEncoder,
  items: readonly VisionItem[],
  keys: readonly string[] | null,
  options: Pick<EncodeOptions, "signal" | "onProgress">,
): Promise<Float32Array[]> {
  const encoding = await core.runWithMemory(async () => encoder.begin(items, keys));
  try {
    while (encoding.rowsLeft > 0) await core.runWithMemory(() => encoding.next(options));
    return await core.run(() => readFeatures(core, encoder, items, encoding.range));
  } finally {
    if (!core.disposed) encoding.range.release();
  }
}

async function readFeatures(
  { parts: { engine, slab } }: ModelCore,
  encoder: VisionEncoder,
  items: readonly VisionItem[],
  features: FeatureRange,
): Promise<Float32Array[]> {
  const found: Float32Array[] = [];
  let firstRow = 0;
  for (const item of items) {
    const rows = encoder.numFeatures(item);
    const { tensor, firstRow: from } = features.deviceRows(firstRow);
    found.push(toFloat32(slab.dtype, await engine.read(tensor, from, rows)));
    firstRow += rows;
  }
  return found;
}
