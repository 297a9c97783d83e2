/** Features of one prompt that several requests read: they are encoded once, and given back when the last has ended. */
import type { FeatureRange } from "../runtime/feature-slab.ts";

/** One request's part of them. */
export interface FeatureShare {
  /** What was taken; undefined while nobody has encoded them. */
  readonly features: FeatureRange | null | undefined;
  /** Of who encoded them, or found them. @returns the same, released as the share is */
  take(features: FeatureRange | null): FeatureRange | null;
  /** It needs them no more, or never did. May be called again. */
  release(): void;
}

export function featureShares(count: number): FeatureShare[] {
  let found: FeatureRange | null | undefined;
  let users = count;
  return Array.from({ length: count }, () => {
    let isReleased = false;
    const release = () => {
      if (!isReleased && --users === 0) found?.release();
      isReleased = true;
    };
    return {
      get features() {
        return found;
      },
      take(features: FeatureRange | null) {
        // Somebody was faster.
        if (found !== undefined && found !== features) features?.release();
        found ??= features;
        return found && { ...found, release };
      },
      release,
    };
  });
}
