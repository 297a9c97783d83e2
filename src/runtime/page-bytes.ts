/** What pages of the KV cache hold, as bytes: page by page, each layer by layer, as they lie on every device. */
import type { Engine } from "../backends/backend.ts";
import { type HostArray, hostArray } from "../tensor/dtype.ts";
import { storageBytes } from "../tensor/storage.ts";
import { cacheName, type KvPool } from "./kv-pool.ts";

/** Of one page in its first `layers` layers. */
export function bytesOfPage({ layout }: Pick<KvPool, "layout">, layers: number): number {
  return layers * storageBytes(layout.dtype, 1, layout.pageElements);
}

/** Fills `into` with the first `layers` layers of these pages. Not while a step runs. */
export async function readPages(
  engine: Engine,
  pool: KvPool,
  pages: readonly number[],
  layers: number,
  into: Uint8Array,
): Promise<void> {
  const layerBytes = bytesOfPage(pool, 1);
  for (let layer = 0; layer < layers; layer++) {
    for (const { at, first, count } of stretches(pages)) {
      const rows = bytesOf(await engine.read(layerOf(pool, layer), first, count));
      for (let page = 0; page < count; page++) {
        const bytes = rows.subarray(page * layerBytes, (page + 1) * layerBytes);
        into.set(bytes, ((at + page) * layers + layer) * layerBytes);
      }
    }
  }
}

/** Writes what `readPages` gave to these pages. Not while a step runs. */
export function writePages(
  engine: Engine,
  pool: KvPool,
  pages: readonly number[],
  layers: number,
  from: Uint8Array,
): void {
  const { dtype, pageElements } = pool.layout;
  const layerBytes = bytesOfPage(pool, 1);
  for (let layer = 0; layer < layers; layer++) {
    for (const { at, first, count } of stretches(pages)) {
      const rows = hostArray(dtype, count * pageElements);
      const bytes = bytesOf(rows);
      for (let page = 0; page < count; page++) {
        const start = ((at + page) * layers + layer) * layerBytes;
        bytes.set(from.subarray(start, start + layerBytes), page * layerBytes);
      }
      engine.write(layerOf(pool, layer), first, rows);
    }
  }
}

function layerOf(pool: KvPool, layer: number) {
  const tensor = pool.bindings()[cacheName(layer)];
  if (!tensor) throw new Error(`The KV cache has no layer ${layer}.`);
  return tensor;
}

/** Pages that lie one after another: `count` of them from `first` on, the `at`-th and those behind it. */
function stretches(pages: readonly number[]): { at: number; first: number; count: number }[] {
  const found: { at: number; first: number; count: number }[] = [];
  for (const [at, page] of pages.entries()) {
    const last = found.at(-1);
    if (last && page === last.first + last.count) last.count++;
    else found.push({ at, first: page, count: 1 });
  }
  return found;
}

function bytesOf({ buffer, byteOffset, byteLength }: HostArray): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
