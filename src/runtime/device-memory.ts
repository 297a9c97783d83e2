/** What a model takes of a device: refused before it is loaded when it does not fit, and the KV cache's share. */
import type { Engine } from "../backends/backend.ts";
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import { bufferBytes, weightBytes } from "../program/sizes.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { storageBytes, WEIGHT_FORMATS, type WeightFormat } from "../tensor/storage.ts";

/**
 * Memory that the KV cache takes when the model is loaded: so many bytes, or a share (0..1) of what is free once the
 * weights are there. Without it the cache grows with what is asked for, and to keep it for later.
 */
export type KvCacheSize =
  | {
      /** So many bytes. */
      readonly bytes: number;
    }
  | {
      /** This share of what is free, 0 to 1. */
      readonly fraction: number;
    };

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

/** What a device has of a model: all of it, or a rank's part. */
export interface DeviceShare {
  readonly weightBytes: number;
  /** Of a page of the KV cache, in the layers that it has. */
  readonly pageBytes: number;
}

/** Of each rank of the group that the programs were partitioned for, or of the one device. */
export function deviceShares(programs: readonly VerifiedProgram[]): DeviceShare[] {
  const ranks = programs[0]?.ranks?.length ?? 1;
  return Array.from({ length: ranks }, (_, rank) => {
    const own = programs.map((program) => program.ranks?.[rank] ?? program);
    const buffers = own.flatMap((program) => program.buffers).filter(({ kind }) => kind === "state");
    const states = [...new Map(buffers.map((buffer) => [buffer.name, buffer])).values()];
    const rows = { pages: 1 };
    return {
      weightBytes: weightBytes(own),
      pageBytes: states.reduce((sum, state) => sum + bufferBytes(state, rows), 0),
    };
  });
}

/**
 * Reckons it before anything is loaded.
 *
 * @param shares of the devices; the engine's free bytes are of all that have a part of the cache, as many on each
 * @returns pages of the KV cache to take too
 * @throws OUT_OF_MEMORY with what is needed and what is free, when the device can tell and it is too little;
 * OPTION_INVALID for a share of memory that can not be told.
 */
export function loadMemory(
  engine: Pick<Engine, "freeBytes" | "backend">,
  shares: readonly DeviceShare[],
  kvCache: KvCacheSize | undefined,
): LoadMemory & { readonly pages: number } {
  const pageBytes = shares.reduce((sum, share) => sum + share.pageBytes, 0);
  const weightBytes = shares.reduce((sum, share) => sum + share.weightBytes, 0);
  const caching = shares.filter((share) => share.pageBytes > 0);
  const free = engine.freeBytes === undefined ? undefined : engine.freeBytes / caching.length;
  const pages = cachePages(engine, free, caching, pageBytes, kvCache);
  const kvCacheBytes = pages * pageBytes;
  if (engine.freeBytes === undefined || free === undefined) return { weightBytes, kvCacheBytes, pages };
  const needs = (share: DeviceShare) => share.weightBytes + pages * share.pageBytes;
  const [most] = shares.toSorted((a, b) => needs(b) - needs(a)) as [DeviceShare];
  if (needs(most) <= free) return { weightBytes, kvCacheBytes, freeBytes: engine.freeBytes, pages };
  const cache = pages > 0 ? ` and the KV cache ${inGib(pages * most.pageBytes)}` : "";
  const weights = shares.length > 1 ? "The weights of a device's part" : "The weights";
  throw new GlimtError(
    "OUT_OF_MEMORY",
    `${weights} need ${inGib(most.weightBytes)}${cache}, and the device has ${inGib(free)} free. Use a smaller dtype or KV cache, end what else uses the device, or choose another one.`,
  );
}

function cachePages(
  { backend }: Pick<Engine, "backend">,
  free: number | undefined,
  shares: readonly DeviceShare[],
  pageBytes: number,
  kvCache: KvCacheSize = { bytes: 0 },
): number {
  if ("bytes" in kvCache) return Math.floor(kvCache.bytes / pageBytes);
  if (free === undefined) {
    throw new GlimtError(
      "OPTION_INVALID",
      `kvCache: the ${backend.name} backend can not tell how much memory is free; give bytes instead of a fraction, or say with maxMemory what there is.`,
    );
  }
  const fitting = shares.map(
    (share) => (kvCache.fraction * Math.max(0, free - share.weightBytes)) / share.pageBytes,
  );
  return Math.floor(Math.min(...fitting));
}

/** @throws OPTION_INVALID */
export function checkKvCacheSize(size: KvCacheSize): void {
  if (typeof size !== "object" || Array.isArray(size)) {
    throw new GlimtError(
      "OPTION_INVALID",
      `kvCache is ${shown(size)}, expected ${typeof size === "number" && size > 1 ? `{ bytes: ${size} }` : "{ bytes }"} or { fraction }.`,
    );
  }
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
