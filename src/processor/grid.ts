/** The patch grid of one image or video: how many temporal patches, and how many rows and columns of patches in each. */

/** [t, h, w] in patches, before the spatial merge. */
export type GridThw = readonly [t: number, h: number, w: number];

/** Number of patches, which is the number of rows of pixelValues. */
export function numPatches([t, h, w]: GridThw): number {
  return t * h * w;
}

/** Number of prompt tokens (and of merged vision features) a grid stands for: t h w / mergeSize². */
export function numMergedTokens([t, h, w]: GridThw, spatialMergeSize: number): number {
  return t * Math.floor(h / spatialMergeSize) * Math.floor(w / spatialMergeSize);
}
