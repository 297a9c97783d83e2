/** What `process` gave, on its way from the worker. */
import { type GridThw, numMergedTokens } from "../processor/grid.ts";
import { joinedPixels, type ProcessedInputs, type ProcessedMedia } from "../prompt/processed-inputs.ts";

export type SentInputs = Omit<ProcessedInputs, "pixelValues" | "pixelValuesVideos">;

/** Pixels of all pictures together are made of the items' where somebody reads them. */
export function withoutJoinedPixels(inputs: ProcessedInputs): SentInputs {
  const fields = Object.getOwnPropertyDescriptors(inputs) as Partial<PropertyDescriptorMap>;
  const { pixelValues: _, pixelValuesVideos: __, ...others } = fields;
  return Object.defineProperties({}, others as PropertyDescriptorMap) as SentInputs;
}

export function withJoinedPixels(sent: SentInputs, mergeSize: number): ProcessedInputs {
  const { images, videos } = byType(sent, mergeSize);
  const [imagePixels, videoPixels] = [joinedPixels(images), joinedPixels(videos)];
  return {
    ...sent,
    get pixelValues() {
      return imagePixels();
    },
    get pixelValuesVideos() {
      return videoPixels();
    },
  };
}

/** Items stand in the order of their tokens, whose types tell which is which. */
function byType(sent: SentInputs, mergeSize: number) {
  const { visionItems, mmTokenTypeIds: types, imageGridThw, videoGridThw } = sent;
  const images: ProcessedMedia[] = [];
  const videos: ProcessedMedia[] = [];
  let row = 0;
  for (const item of visionItems) {
    while (types[row] === 0) row += 1;
    const isImage = types[row] === 1;
    const [found, grids] = isImage ? [images, imageGridThw] : [videos, videoGridThw];
    const gridThw = grids[found.length] as GridThw;
    found.push({ ...item, labels: item.labels ?? [], gridThw });
    for (let left = numMergedTokens(gridThw, mergeSize); left > 0; row += 1) if (types[row] !== 0) left -= 1;
  }
  return { images, videos };
}
