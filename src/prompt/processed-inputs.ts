/** What processing gives: everything the model is given, and each image and video by itself. */
import type { PositionIds } from "../mrope/positions.ts";
import type { GridThw } from "../processor/grid.ts";
import type { PlacedMedia } from "./layout.ts";
import type { VisionItem } from "./vision-items.ts";

/** A picture or the frames of a video as they were decoded, and what became of them. */
export interface MediaSourceFacts {
  /** Pixels of the picture or of each frame. */
  readonly width: number;
  /** Pixels, as `width`. */
  readonly height: number;
  /** Pixels that the model is given. */
  readonly resizedWidth: number;
  /** Pixels that the model is given. */
  readonly resizedHeight: number;
  /** Of a video: which frames were taken. */
  readonly frames?: TakenFrames | undefined;
}

/** Which frames of a video were taken. */
export interface TakenFrames {
  /** Frames that the video has. */
  readonly numFrames: number;
  /** Those that were taken, from 0, ascending; one that fills up a temporal patch is there again. */
  readonly indices: readonly number[];
  /** Seconds of each of them. */
  readonly timestamps: readonly number[];
}

/** An image or video of a prompt in figures. */
export interface MediaFacts extends Pick<PlacedMedia, "type" | "gridThw" | "spans"> {
  /** Tokens that stand for it. */
  readonly numTokens: number;
  /** Timestamp texts of a video's temporal patches; none for an image. */
  readonly labels: readonly string[];
  /** What it was; null of one that was given as features. */
  readonly source: MediaSourceFacts | null;
}

/** What the model is given for messages. */
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
  /** The same of videos. */
  readonly pixelValuesVideos: Float32Array | null;
  /** Patches of each image in time, height and width. */
  readonly imageGridThw: readonly GridThw[];
  /** Patches of each video in time, height and width. */
  readonly videoGridThw: readonly GridThw[];
  /** (3, s): time, height and width of every token. */
  readonly positionIds: PositionIds;
  /** Largest position + 1 - s: what positions of the answer are shifted by. */
  readonly ropeDelta: number;
  /** Rows that the model reads: `inputIds` has also those that `videoPruning` leaves out, which only features can tell. */
  readonly promptTokens: number;
  /** Images and videos in prompt order, each with pixels of its own or the embeddings given. */
  readonly visionItems: readonly VisionItem[];
  /** The same in figures: sizes, grids, where their tokens stand, which frames were taken. */
  readonly media: readonly MediaFacts[];
  /** The functions that it offers, as they were given; null without any. */
  readonly tools: readonly object[] | string | null;
  /** Time it took. */
  readonly milliseconds: number;
}

/** One image or video, ready to encode. */
export type ProcessedMedia = VisionItem & {
  /** Patches in time, height and width. */
  readonly gridThw: GridThw;
  /** Timestamp texts of a video's temporal patches; none for an image. */
  readonly labels: readonly string[];
  /** Of one that was decoded here. */
  readonly source?: MediaSourceFacts;
};

/** Features replace tokens from the front, so media must stand in the order of their markers. */
export function inPromptOrder(
  promptText: string,
  media: Readonly<Record<string, readonly ProcessedMedia[]>>,
): ProcessedMedia[] {
  const markers = Object.keys(media);
  const places = markers.flatMap((marker) => {
    const starts: number[] = [];
    for (let at = promptText.indexOf(marker); at >= 0; at = promptText.indexOf(marker, at + marker.length))
      starts.push(at);
    return starts.map((start, index) => ({ start, item: media[marker]?.[index] as ProcessedMedia }));
  });
  return places.sort((a, b) => a.start - b.start).map(({ item }) => item);
}

/** What the vision tower is given of it. */
export function visionItem(item: ProcessedMedia): VisionItem {
  const { uuid, gridThw, labels } = item;
  const named = uuid !== undefined && { uuid, gridThw, ...(labels.length > 0 && { labels }) };
  if ("embeddings" in item) return { embeddings: item.embeddings, ...named };
  return { pixelValues: item.pixelValues, gridThw, ...named };
}

export function mediaFacts({ labels, source }: ProcessedMedia, placed: PlacedMedia): MediaFacts {
  const { type, gridThw, spans, numFeatures } = placed;
  return { type, gridThw, spans, numTokens: numFeatures, labels, source: source ?? null };
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
