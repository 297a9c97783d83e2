/** Prompt text with one marker a picture -> prompt text with one token a merged patch, and the type of every token. */

import type { SpecialTokens } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { type GridThw, numMergedTokens } from "./grid.ts";

export interface VideoPlaceholder {
  readonly gridThw: GridThw;
  /** Timestamp texts of the frame pairs: surplus ones are dropped, the last one fills what is missing. */
  readonly labels: readonly string[];
}

/** How a video stands in the prompt; mropePositions takes the same choice. */
export type VideoLayout = "frames" | "block";

export interface PlaceholderOptions {
  /** In prompt order. */
  readonly imageGridThw?: readonly GridThw[];
  readonly videos?: readonly VideoPlaceholder[];
  readonly mergeSize: number;
  /** "frames" (default): as above. "block": all tokens of a video in one run, without timestamps. */
  readonly videoLayout?: VideoLayout;
  /** As the tokenizer spells them. */
  readonly imageToken?: string;
  readonly videoToken?: string;
}

const FRAME_START = "<|begin_of_image|>";
const FRAME_END = "<|end_of_image|>";

/**
 * Replaces every image marker by its grid's number of image tokens, and every video marker by its frames, each
 * `<|begin_of_image|>` tokens `<|end_of_image|>` timestamp. A video's tokens are image tokens too.
 *
 * @throws INPUT_INVALID when the text has more or fewer markers than there are pictures or videos.
 */
export function expandPlaceholders(text: string, options: PlaceholderOptions): string {
  const { mergeSize, imageToken = "<|image|>", videoToken = "<|video|>" } = options;
  const images = options.imageGridThw ?? [];
  const videos = options.videos ?? [];
  checkCount(text, imageToken, "image", images.length);
  checkCount(text, videoToken, "video", videos.length);

  const pieces = {
    [imageToken]: images.map((grid) => imageToken.repeat(numMergedTokens(grid, mergeSize))),
    [videoToken]: videos.map((video) =>
      expandVideo(video, options.videoLayout ?? "frames", mergeSize, imageToken),
    ),
  };
  const used: Record<string, number> = { [imageToken]: 0, [videoToken]: 0 };
  const marker = new RegExp([imageToken, videoToken].map(escapeForRegExp).join("|"), "g");
  return text.replace(marker, (found) => {
    const index = used[found] as number;
    used[found] = index + 1;
    return pieces[found]?.[index] as string;
  });
}

/**
 * 0 text, 1 image, 2 video: an image token is a video's while more videos have begun than ended.
 */
export function mmTokenTypeIds(
  inputIds: ArrayLike<number>,
  tokens: Pick<SpecialTokens, "image" | "videoStart" | "videoEnd">,
): Int32Array {
  const types = new Int32Array(inputIds.length);
  let open = 0;
  for (let i = 0; i < inputIds.length; i++) {
    const id = inputIds[i];
    if (id === tokens.videoStart) open += 1;
    if (id === tokens.videoEnd) open -= 1;
    if (id === tokens.image) types[i] = open > 0 ? 2 : 1;
  }
  return types;
}

function expandVideo(
  { gridThw, labels }: VideoPlaceholder,
  layout: VideoLayout,
  mergeSize: number,
  imageToken: string,
): string {
  const [t, h, w] = gridThw;
  const tokens = imageToken.repeat(numMergedTokens([1, h, w], mergeSize));
  if (layout === "block") return `${FRAME_START}${tokens.repeat(t)}${FRAME_END}`;
  return Array.from({ length: t }, (_, frame) => {
    const label = labels[Math.min(frame, labels.length - 1)] ?? "";
    return `${FRAME_START}${tokens}${FRAME_END}${label}`;
  }).join("");
}

function checkCount(text: string, marker: string, modality: "image" | "video", given: number): void {
  const found = text.split(marker).length - 1;
  if (found === given) return;
  throw new GlimtError(
    "INPUT_INVALID",
    `The prompt has ${found} ${modality} markers (${marker}), but ${given} ${modality}s were given. ` +
      `Each ${modality} needs one marker; literal ${marker} in text counts as one, but with specialTokensInText: "text".`,
  );
}

function escapeForRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
