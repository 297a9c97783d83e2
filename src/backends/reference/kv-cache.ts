/** The paged cache [pages, 2, numKvHeads, pageSize, headDim]: where a key or value lies, and kv_write. */
import { checkedIndex, type Kernel, type Kernels } from "./kernel.ts";

export interface CacheLayout {
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly pageSize: number;
}

/** Column, in a page's row, of the key or value of a head at a place in the page. */
export function cacheColumn(layout: CacheLayout, part: "k" | "v", head: number, place: number): number {
  const plane = (part === "k" ? 0 : layout.numKvHeads) + head;
  return (plane * layout.pageSize + place) * layout.headDim;
}

const kvWrite: Kernel<"kv_write"> = ({ k, v, slots, cache }, _outputs, layout) => {
  const { numKvHeads, headDim, pageSize } = layout;
  const row = new Float32Array(k.cols);
  slots.toInt32().forEach((slot, t) => {
    if (slot === -1) return;
    const page = checkedIndex("kv_write", "page", Math.floor(slot / pageSize), cache.rows);
    for (const [part, source] of [
      ["k", k],
      ["v", v],
    ] as const) {
      source.readRow(t, row);
      for (let head = 0; head < numKvHeads; head++) {
        const column = cacheColumn(layout, part, head, slot % pageSize);
        cache.writePart(page, column, headDim, row, head * headDim);
      }
    }
  });
};

export const kvCacheKernels = {
  kv_write: kvWrite,
} satisfies Kernels;
