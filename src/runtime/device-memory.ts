/** What a model takes of a device: refused before it is loaded when it does not fit, and the KV cache's share. */
import type { Engine } from "../backends/backend.ts";
import { GlimtError } from "../errors.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import { storageBytes, WEIGHT_FORMATS, type WeightFormat } from "../tensor/storage.ts";
import { type KvPoolLayout, pageBytes } from "./kv-pool.ts";

/**
 * Memory that the KV cache takes when the model is loaded: so many bytes, or a share (0..1) of what is free once the
 * weights are there. Without it the cache grows with what is asked for.
 */
export type KvCacheSize = { readonly bytes: number } | { readonly fraction: number };

/** Bytes of the weights as plain matrices; a layout in tiles may add rows of zeros. */
export function storedBytes(specs: readonly WeightSpec[]): number {
  return specs.reduce((sum, spec) => sum + bytesOf(spec), 0);
}

/** The same by storage format, in the order of their names in `STORAGE_FORMATS`. */
export function bytesByFormat(specs: readonly WeightSpec[]): Partial<Record<WeightFormat, number>> {
  const found = WEIGHT_FORMATS.map((format) => {
    const stored = specs.filter(({ dtype }) => dtype === format);
    return [format, storedBytes(stored)] as const;
  });
  return Object.fromEntries(found.filter(([, bytes]) => bytes > 0));
}

function bytesOf({ shape: [rows = 1, cols = 1], dtype }: WeightSpec): number {
  return storageBytes(dtype, rows, cols);
}

/** What a model takes of its device when it is loaded. */
export interface LoadMemory {
  /** Bytes of the weights; a device that keeps them in tiles may take a little more. */
  readonly weightBytes: number;
  /** Bytes of the KV cache that are taken at once, in whole pages; 0 when it grows with what is asked for. */
  readonly kvCacheBytes: number;
  /** Bytes that the device has free before anything is loaded; absent where that can not be told. */
  readonly freeBytes?: number;
}

/**
 * Reckons it before anything is loaded.
 *
 * @throws OUT_OF_MEMORY with what is needed and what is free, when the device can tell and it is too little;
 * OPTION_INVALID for a share of memory that can not be told.
 */
export function loadMemory(
  engine: Engine,
  weightBytes: number,
  layout: KvPoolLayout,
  kvCache: KvCacheSize | undefined,
): LoadMemory {
  const { freeBytes } = engine;
  const kvCacheBytes = wholePages(layout, cacheBytes(engine, weightBytes, kvCache));
  if (freeBytes === undefined) return { weightBytes, kvCacheBytes };
  if (weightBytes + kvCacheBytes <= freeBytes) return { weightBytes, kvCacheBytes, freeBytes };
  const cache = kvCacheBytes > 0 ? ` and the KV cache ${inGib(kvCacheBytes)}` : "";
  throw new GlimtError(
    "OUT_OF_MEMORY",
    `The weights need ${inGib(weightBytes)}${cache}, and the device has ${inGib(freeBytes)} free. Use a smaller dtype or KV cache, end what else uses the device, or choose another one.`,
  );
}

function cacheBytes(engine: Engine, weightBytes: number, kvCache: KvCacheSize = { bytes: 0 }): number {
  if ("bytes" in kvCache) return kvCache.bytes;
  if (engine.freeBytes === undefined) {
    throw new GlimtError(
      "OPTION_INVALID",
      `kvCache: the ${engine.backend.name} backend can not tell how much memory is free; give bytes instead of a fraction, or say with maxMemory what there is.`,
    );
  }
  return kvCache.fraction * Math.max(0, engine.freeBytes - weightBytes);
}

function wholePages(layout: KvPoolLayout, bytes: number): number {
  return Math.floor(bytes / pageBytes(layout)) * pageBytes(layout);
}

/** @throws OPTION_INVALID */
export function checkKvCacheSize(size: KvCacheSize): void {
  const { bytes, fraction } = (size ?? {}) as { bytes?: unknown; fraction?: unknown };
  const isCount = Number.isSafeInteger(bytes) && (bytes as number) >= 0;
  const isShare = typeof fraction === "number" && fraction >= 0 && fraction <= 1;
  if (fraction === undefined ? isCount : bytes === undefined && isShare) return;
  throw new GlimtError(
    "OPTION_INVALID",
    "kvCache must be { bytes }, a whole number, or { fraction }, a number of 0..1.",
  );
}

function inGib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
