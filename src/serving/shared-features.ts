/** Features of one prompt that several requests read: they are encoded once, and given back when the last has ended. */
import type { KeptMedia } from "../prompt/keep-media-rows.ts";
import type { FeatureRange } from "../runtime/feature-slab.ts";

export interface PromptFeatures {
  /** Of all its images and videos, those of rows that are left out too. */
  readonly range: FeatureRange;
  /** What is read of each. */
  readonly kept: KeptMedia;
}

/** One request's part of them. */
export interface FeatureShare {
  /** What was taken; undefined while nobody has encoded them. */
  readonly features: PromptFeatures | null | undefined;
  /** Of who encoded them, or found them. @returns the same, released as the share is */
  take(features: PromptFeatures | null): PromptFeatures | null;
  /** It needs them no more, or never did. May be called again. */
  release(): void;
}

export function featureShares(count: number): FeatureShare[] {
  let found: PromptFeatures | null | undefined;
  let users = count;
  return Array.from({ length: count }, () => {
    let isReleased = false;
    const release = () => {
      if (!isReleased && --users === 0) found?.range.release();
      isReleased = true;
    };
    return {
      get features() {
        return found;
      },
      take(features: PromptFeatures | null) {
        // Somebody was faster.
        if (found !== undefined && found !== features) features?.range.release();
        found ??= features;
        return found && { ...found, range: { ...found.range, release } };
      },
      release,
    };
  });
}
