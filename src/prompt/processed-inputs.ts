/** What processing gives: everything the model is given, and each image and video by itself. */
import type { PositionIds } from "../mrope/positions.ts";
import type { GridThw } from "../processor/grid.ts";
import type { VisionItem } from "./vision-items.ts";

export interface ProcessedInputs {
  /** The rendered template, one marker a picture. */
  readonly promptText: string;
  /** The prompt's tokens, each picture's marker expanded to one token a feature. */
  readonly inputIds: readonly number[];
  /** 0 text, 1 image, 2 video; one a token. */
  readonly mmTokenTypeIds: readonly number[];
  /**
   * f32 [patches of all images, channels * temporal * patch²], or null without images. Images that were given as
   * embeddings have no pixels here. Of several images it is a copy, made when this is first read: generating needs only
   * `visionItems`.
   */
  readonly pixelValues: Float32Array | null;
  readonly pixelValuesVideos: Float32Array | null;
  readonly imageGridThw: readonly GridThw[];
  readonly videoGridThw: readonly GridThw[];
  readonly positionIds: PositionIds;
  readonly ropeDelta: number;
  /** Rows that the model reads: `inputIds` has also those that `videoPruning` leaves out, which only features can tell. */
  readonly promptTokens: number;
  /** Images and videos in prompt order, each with pixels of its own or the embeddings given. */
  readonly visionItems: readonly VisionItem[];
  /** The functions that it offers, as they were given; null without any. */
  readonly tools: readonly object[] | string | null;
  /** Time it took. */
  readonly milliseconds: number;
}

/** One image or video, ready to encode. */
export type ProcessedMedia = VisionItem & {
  readonly gridThw: GridThw;
  /** Timestamp texts of a video's temporal patches; none for an image. */
  readonly labels: readonly string[];
};

/** Features replace tokens from the front, so items must stand in the order of their markers. */
export function inPromptOrder(
  promptText: string,
  media: Readonly<Record<string, readonly ProcessedMedia[]>>,
): VisionItem[] {
  const markers = Object.keys(media);
  const places = markers.flatMap((marker) => {
    const starts: number[] = [];
    for (let at = promptText.indexOf(marker); at >= 0; at = promptText.indexOf(marker, at + marker.length))
      starts.push(at);
    return starts.map((start, index) => ({ start, item: media[marker]?.[index] as ProcessedMedia }));
  });
  return places
    .sort((a, b) => a.start - b.start)
    .map(({ item }) => {
      const { uuid, gridThw, labels } = item;
      const named = uuid !== undefined && { uuid, gridThw, ...(labels.length > 0 && { labels }) };
      if ("embeddings" in item) return { embeddings: item.embeddings, ...named };
      return { pixelValues: item.pixelValues, gridThw, ...named };
    });
}

/** The pixels of all items that have some; of several, a copy that is made when it is first asked for. */
export function joinedPixels(media: readonly ProcessedMedia[]): () => Float32Array | null {
  const items = media.flatMap((item) => ("pixelValues" in item ? [item] : []));
  if (items.length <= 1) return () => items[0]?.pixelValues ?? null;
  let all: Float32Array | undefined;
  return () => {
    all ??= concatenated(items.map(({ pixelValues }) => pixelValues));
    return all;
  };
}

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    all.set(part, offset);
    offset += part.length;
  }
  return all;
}
