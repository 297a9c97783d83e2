/** How pictures are read and resized: the caller's options over the checkpoint's limits. */
import type { ImageProcessorConfig, ProcessorConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { checkTimeLimit, readOptions, shown } from "../given.ts";
import type { MediaMode } from "../media/decode-image.ts";
import { type SourceRule, type Sources, sourceRule } from "../media/sources/source-rule.ts";
import type { Rounding } from "../processor/resample-weights.ts";
import { checkVideoPruning } from "./pruned-media.ts";

/** How pictures and videos are read and resized. */
export interface MediaOptions {
  /** "default" applies EXIF orientation and lays transparency on white; "huggingface" does neither. */
  readonly media?: MediaMode | undefined;
  /** Whose bicubic resize to reproduce bit for bit (default "torchvision", what Hugging Face uses by default). */
  readonly rounding?: Rounding | undefined;
  /** Resize pictures to at most this many pixels (an area); default: the checkpoint's limit. Fewer tokens, less detail. */
  readonly maxImagePixels?: number | undefined;
  /**
   * The share of each video's tokens that the language model does not read, from 0 (default, all are read) and below 1: of
   * places that look as they did a frame before, see docs/video.md. Every feature is computed; a prompt gets shorter.
   */
  readonly videoPruning?: number | undefined;
  /** Refuse prompts with more images or videos than this; default: no limit but the context. */
  readonly limits?:
    | {
        /** Most images of a prompt. */
        readonly images?: number | undefined;
        /** Most videos of a prompt. */
        readonly videos?: number | undefined;
      }
    | undefined;
  /**
   * Refuse pictures and frames that decode to more pixels than this (default 100 million). Raised, it raises what frames of an
   * animated GIF, WebP or PNG may have together too, which is 100 times the default at least.
   */
  readonly maxDecodedPixels?: number | undefined;
  /** Milliseconds in which a picture or a frame must be decoded, or a video opened (default 30,000). */
  readonly decodeTimeout?: number | undefined;
  /**
   * Where the package's `worker.js` lies, in which files of pictures and videos are parsed and kernel threads run: for
   * pages whose build does not put it where the SDK looks for it. Where no worker can be had the copy inside the SDK is
   * tried, then all is done on the thread that asks.
   */
  readonly workerUrl?: string | URL | undefined;
  /**
   * Where pictures and videos may be read from (default "any"); calls may say otherwise. For messages of people you do
   * not know: PUBLIC_SOURCES or "inline", see docs/untrusted-input.md.
   */
  readonly sources?: Sources | undefined;
  /**
   * Refuse sources of more bytes than this, counted after decompression (default 512 MiB; without the option a movie in
   * a Blob, which is read in place, may have more).
   */
  readonly maxSourceBytes?: number | undefined;
  /** Give a source up that sends nothing for so many milliseconds (default 60,000), or is not read in ten times as many. */
  readonly sourceTimeout?: number | undefined;
}

export const MEDIA_OPTION_NAMES: readonly (keyof MediaOptions)[] = [
  "media",
  "rounding",
  "maxImagePixels",
  "videoPruning",
  "limits",
  "maxDecodedPixels",
  "decodeTimeout",
  "workerUrl",
  "sources",
  "maxSourceBytes",
  "sourceTimeout",
];

export interface MediaLimits {
  readonly images: number;
  readonly videos: number;
}

export interface MediaRules {
  readonly limits: MediaLimits;
  readonly mode: MediaMode;
  readonly rounding: Rounding;
  readonly maxDecodedPixels: number | undefined;
  readonly decodeTimeout: number | undefined;
  readonly workerUrl: string | URL | undefined;
  readonly sources: SourceRule;
  readonly maxSourceBytes: number | undefined;
  readonly sourceTimeout: number | undefined;
  readonly image: ImageProcessorConfig;
  readonly video: ImageProcessorConfig;
  readonly videoPruning: number;
}

/** @throws OPTION_INVALID naming the option and what it may be. */
export function resolveMedia(options: MediaOptions, processor: ProcessorConfig): MediaRules {
  const { media = "default", rounding = "torchvision", maxImagePixels, maxDecodedPixels } = options;
  const { decodeTimeout, workerUrl, videoPruning = 0 } = options;
  const { sources = "any", maxSourceBytes, sourceTimeout } = options;
  oneOf("media", media, ["default", "huggingface"]);
  oneOf("rounding", rounding, ["torchvision", "pillow"]);
  const { minPixels, maxPixels, temporalPatchSize } = processor.image;
  // The published limits count an image as temporalPatchSize frames.
  const smallest = minPixels / temporalPatchSize;
  atLeast("maxImagePixels", maxImagePixels, smallest);
  checkVideoPruning(videoPruning);
  atLeast("maxDecodedPixels", maxDecodedPixels, 1);
  checkTimeLimit("decodeTimeout", decodeTimeout);
  checkUrl("workerUrl", workerUrl);
  atLeast("maxSourceBytes", maxSourceBytes, 1);
  checkTimeLimit("sourceTimeout", sourceTimeout);
  const limit =
    maxImagePixels === undefined ? maxPixels : Math.min(maxPixels, maxImagePixels * temporalPatchSize);
  return {
    limits: resolveLimits(options.limits),
    mode: media,
    rounding,
    maxDecodedPixels,
    decodeTimeout,
    workerUrl,
    sources: sourceRule(sources),
    maxSourceBytes,
    sourceTimeout,
    image: { ...processor.image, maxPixels: limit },
    video: processor.video,
    videoPruning,
  };
}

/** @throws INPUT_INVALID naming the option */
export function checkCounts(images: number, videos: number, limits: MediaLimits): void {
  for (const [name, found] of Object.entries({ images, videos }) as ["images" | "videos", number][]) {
    if (found <= limits[name]) continue;
    throw new GlimtError(
      "INPUT_INVALID",
      `The prompt has ${found} ${found === 1 ? name.slice(0, -1) : name}, but limits.${name} is ${limits[name]}; send fewer, or raise the option.`,
    );
  }
}

function resolveLimits(given: MediaOptions["limits"]): MediaLimits {
  const limits = readOptions(given, "limits", ["images", "videos"]);
  const limit = (name: "images" | "videos") => {
    const value = limits[name] ?? Number.POSITIVE_INFINITY;
    if (value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && value >= 0)) return value;
    throw new GlimtError(
      "OPTION_INVALID",
      `limits.${name} is ${shown(value)}, expected a whole number from 0.`,
    );
  };
  return { images: limit("images"), videos: limit("videos") };
}

function oneOf(name: string, value: string, allowed: readonly string[]): void {
  if (!allowed.includes(value)) {
    throw new GlimtError("OPTION_INVALID", `${name} is ${shown(value)}, expected ${allowed.join(" or ")}.`);
  }
}

function checkUrl(name: string, value: unknown): void {
  if (value === undefined || value instanceof URL || (typeof value === "string" && value !== "")) return;
  throw new GlimtError(
    "OPTION_INVALID",
    `${name} is ${shown(value)}, expected an address: a string or a URL.`,
  );
}

function atLeast(name: string, value: number | undefined, smallest: number): void {
  if (value !== undefined && !(Number.isFinite(value) && value >= smallest)) {
    throw new GlimtError("OPTION_INVALID", `${name} is ${shown(value)}, expected a number from ${smallest}.`);
  }
}
