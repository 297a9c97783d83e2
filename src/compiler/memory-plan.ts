/**
 * Temporaries whose lifetimes do not overlap share a slot. Sizes depend on symbols, so slots are chosen for
 * typical values; a run makes each slot as large as its largest tenant, which is right for any values.
 */
import type { Dim, SymbolValues } from "../tensor/dims.ts";
import { type StorageFormat, storageBytes } from "../tensor/storage.ts";

/** Typical values of symbols, used only to weigh choices. */
export type SizeHints = SymbolValues;

export interface Lifetime {
  readonly id: number;
  readonly rows: Dim;
  readonly cols: Dim;
  readonly dtype: StorageFormat;
  /** Positions of the first and last node that touch it. */
  readonly first: number;
  readonly last: number;
}

export const DEFAULT_SIZE_HINT = 256;

/** Best fit over lifetimes in order of their start. */
export function assignSlots(
  lifetimes: readonly Lifetime[],
  hints: SizeHints,
): { slots: Map<number, number>; slotCount: number } {
  const slots = new Map<number, number>();
  const sizes: number[] = [];
  const busyUntil: number[] = [];
  for (const lifetime of [...lifetimes].sort((a, b) => a.first - b.first || a.id - b.id)) {
    const size = hintedBytes(lifetime, hints);
    let [slot, leastWaste] = [sizes.length, Number.POSITIVE_INFINITY];
    for (let free = 0; free < sizes.length; free++) {
      const waste = Math.abs((sizes[free] as number) - size);
      if ((busyUntil[free] as number) < lifetime.first && waste < leastWaste)
        [slot, leastWaste] = [free, waste];
    }
    slots.set(lifetime.id, slot);
    sizes[slot] = Math.max(sizes[slot] ?? 0, size);
    busyUntil[slot] = lifetime.last;
  }
  return { slots, slotCount: sizes.length };
}

function hintedBytes({ rows, cols, dtype }: Lifetime, hints: SizeHints): number {
  const typical = (dim: Dim) =>
    typeof dim === "number" ? dim : ((hints[dim.symbol] ?? DEFAULT_SIZE_HINT) * dim.num) / dim.den + dim.add;
  return storageBytes(dtype, typical(rows), typical(cols));
}
