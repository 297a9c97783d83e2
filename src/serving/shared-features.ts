/** Features of one prompt that several requests read: they are encoded once, and given back when the last has read them. */
import type { FeatureRange } from "../runtime/feature-slab.ts";

/** One request's part of them. */
export interface FeatureShare {
  /** Encodes them where nobody did. What it gives is released as the share is. @throws what `encode` throws, to all */
  take(encode: () => Promise<FeatureRange | null>): Promise<FeatureRange | null>;
  /** It needs them no more, or never did. May be called again. */
  release(): void;
}

export function featureShares(count: number): FeatureShare[] {
  let encoding: Promise<FeatureRange | null> | null = null;
  let range: FeatureRange | null = null;
  let users = count;
  const encodeOnce = async (encode: () => Promise<FeatureRange | null>) => {
    range = await encode();
    return range;
  };
  const leave = () => {
    if (--users === 0) range?.release();
  };
  return Array.from({ length: count }, () => {
    let isReleased = false;
    const release = () => {
      if (!isReleased) leave();
      isReleased = true;
    };
    const take = async (encode: () => Promise<FeatureRange | null>) => {
      encoding ??= encodeOnce(encode);
      const found = await encoding;
      if (!found) return null;
      const { firstRow, rows } = found;
      return {
        firstRow,
        rows,
        deviceRows: (first?: number, count?: number) => found.deviceRows(first, count),
        release,
      };
    };
    return { take, release };
  });
}
