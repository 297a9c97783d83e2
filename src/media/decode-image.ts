/** Any image source to RGB bytes, the same in Node, browsers and workers. */

import { GlimtError, throwIfAborted } from "../errors.ts";
import { rgbaToRgb } from "./alpha.ts";
import { openAnimation, readFirstFrame } from "./animation/open.ts";
import { FILE_KIND_NAMES, type ImageFormat } from "./file-kind.ts";
import { type ImageHeader, readHeader } from "./header.ts";
import { applyOrientation, orientationOf } from "./orientation.ts";
import type { RgbImage } from "./rgb-image.ts";
import {
  type ImageSource,
  isRawImage,
  type MediaNoun,
  type RawImage,
  readSource,
  type SourceOptions,
} from "./source.ts";

/**
 * "default": EXIF orientation is applied and transparency is laid on white, as a viewer shows the picture.
 * "huggingface": neither, exactly the reference's pixels.
 */
export type MediaMode = "default" | "huggingface";

export interface MediaOptions extends SourceOptions {
  readonly mode?: MediaMode | undefined;
  /** Pictures of more pixels are refused before they are decoded. Default 200 million. */
  readonly maxDecodedPixels?: number | undefined;
}

export const DEFAULT_MAX_DECODED_PIXELS = 200_000_000;

/** Codecs are loaded when the first picture of their format arrives. */
const STILL_CODECS: Record<ImageFormat, () => Promise<{ decode(bytes: Uint8Array): Promise<Uint8Array> }>> = {
  png: () => import("./codecs/png.ts"),
  jpeg: () => import("./codecs/jpeg.ts"),
  webp: () => import("./codecs/webp.ts"),
  gif: () => import("./animation/gif.ts"),
};

/**
 * Of an animation the first frame is taken, as Hugging Face does.
 *
 * @throws IMAGE_INVALID for a source that is unreadable, empty, truncated, corrupt or of an unknown format;
 * IMAGE_TOO_LARGE for more pixels than maxDecodedPixels; ABORTED.
 */
export async function decodeImage(source: ImageSource, options: MediaOptions = {}): Promise<RgbImage> {
  const mode = options.mode ?? "default";
  if (mode !== "default" && mode !== "huggingface") {
    throw new GlimtError(
      "OPTION_INVALID",
      `Media mode "${mode}" is unknown; it is "default" or "huggingface".`,
    );
  }
  const alphaRule = mode === "default" ? "white" : "drop";
  if (isRawImage(source)) {
    const rgb = rawToRgb(source, alphaRule);
    checkPixels(rgb, options.maxDecodedPixels, "of raw pixels");
    return rgb;
  }

  const { bytes, name } = await readSource(source, options);
  const header = readHeader(bytes, name);
  checkPixels(header, options.maxDecodedPixels, name);
  const rgba = await decodePixels(bytes, header, name);
  throwIfAborted(options.signal);
  const stored = { data: rgbaToRgb(rgba, alphaRule), width: header.width, height: header.height };
  return mode === "default" ? applyOrientation(stored, orientationOf(header)) : stored;
}

async function decodePixels(bytes: Uint8Array, header: ImageHeader, name: string): Promise<Uint8Array> {
  let rgba: Uint8Array;
  try {
    rgba = await decodeRgba(bytes, header);
  } catch (cause) {
    const size = `${header.width} x ${header.height} ${FILE_KIND_NAMES[header.format]}`;
    throw new GlimtError(
      "IMAGE_INVALID",
      `Image ${name} (${size}) can not be decoded: the file is corrupt, truncated or of an unsupported kind.`,
      { cause },
    );
  }
  const expected = header.width * header.height * 4;
  if (rgba.length !== expected) {
    throw new GlimtError(
      "IMAGE_INVALID",
      `Image ${name} decodes to ${rgba.length / 4} pixels, but its header says ${expected / 4}.`,
    );
  }
  return rgba;
}

async function decodeRgba(bytes: Uint8Array, { format, isAnimation }: ImageHeader): Promise<Uint8Array> {
  if (isAnimation) {
    const animation = await openAnimation(bytes, format);
    if (!animation) throw new Error("no frames");
    return readFirstFrame(animation);
  }
  return (await STILL_CODECS[format]()).decode(bytes);
}

/** @throws IMAGE_TOO_LARGE naming the source and the limit. */
export function checkPixels(
  { width, height }: { width: number; height: number },
  limit: number | undefined,
  name: string,
  noun: MediaNoun = "Image",
) {
  const most = limit ?? DEFAULT_MAX_DECODED_PIXELS;
  if (width * height <= most) return;
  throw new GlimtError(
    "IMAGE_TOO_LARGE",
    `${noun} ${name} is ${width} x ${height}, ${width * height} pixels; the limit is ${most}. ` +
      "Shrink it, or raise the option maxDecodedPixels if you trust it.",
  );
}

function rawToRgb({ data, width, height, channels }: RawImage, alphaRule: "white" | "drop"): RgbImage {
  const pixels = width * height;
  const found = channels ?? data.length / pixels;
  if (!Number.isInteger(pixels) || width < 1 || height < 1 || (found !== 3 && found !== 4)) {
    throw new GlimtError(
      "IMAGE_INVALID",
      `Raw pixels of ${width} x ${height} with ${data.length} bytes have neither 3 nor 4 channels.`,
    );
  }
  if (data.length !== pixels * found) {
    throw new GlimtError(
      "IMAGE_INVALID",
      `Raw pixels of ${width} x ${height} x ${found} are ${pixels * found} bytes, but ${data.length} were given.`,
    );
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { data: found === 4 ? rgbaToRgb(bytes.slice(), alphaRule) : bytes, width, height };
}
