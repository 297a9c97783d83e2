/** An encoded picture to RGB: header, limits, codec, transparency, orientation. Needs nothing of the host. */

import { GlimtError } from "../errors.ts";
import { rgbaToRgb } from "./alpha.ts";
import { openAnimation, readFirstFrame } from "./animation/open.ts";
import { checkPixels } from "./check-pixels.ts";
import { Unreadable } from "./codecs/unreadable.ts";
import { FILE_KIND_NAMES, type ImageFormat } from "./file-kind.ts";
import { type ImageHeader, readHeader } from "./header.ts";
import { isOutOfMemory, outOfMemory } from "./memory.ts";
import type { MediaMode } from "./mode.ts";
import { applyOrientation, orientationOf } from "./orientation.ts";
import type { RgbImage } from "./rgb-image.ts";

export interface StillOptions {
  readonly mode: MediaMode;
  readonly maxDecodedPixels: number | undefined;
}

/** Encoded bytes to RGBA, not premultiplied; of formats without transparency to RGB. */
interface Codec {
  decode(bytes: Uint8Array, mode: MediaMode): Promise<Uint8Array>;
}

/** Codecs are loaded when the first picture of their format arrives. */
const STILL_CODECS: Record<ImageFormat, () => Promise<Codec>> = {
  png: () => import("./codecs/png.ts"),
  jpeg: () => import("./codecs/jpeg.ts"),
  webp: () => import("./codecs/webp.ts"),
  gif: () => import("./animation/gif.ts"),
  bmp: () => import("./bmp/decode.ts"),
  tiff: () => import("./tiff/decode.ts"),
};

const channelsOf = (format: ImageFormat) => (format === "jpeg" ? 3 : 4);

/**
 * Of an animation the first frame is taken, as Hugging Face does.
 *
 * @param name what to call the picture in an error.
 * @throws IMAGE_INVALID for a file that is empty, truncated, corrupt or of an unknown format; IMAGE_TOO_LARGE;
 * OUT_OF_MEMORY.
 */
export async function decodeStill(bytes: Uint8Array, name: string, options: StillOptions): Promise<RgbImage> {
  const header = readHeader(bytes, name);
  checkPixels(header, options.maxDecodedPixels, name);
  const pixels = await decodePixels(bytes, header, name, options.mode);
  const isDefault = options.mode === "default";
  const { width, height } = header;
  const data = channelsOf(header.format) === 3 ? pixels : rgbaToRgb(pixels, isDefault ? "white" : "drop");
  const stored = { data, width, height };
  // Pillow itself turns a TIFF picture, so that the reference's pixels are upright too.
  const isTurned = isDefault || header.format === "tiff";
  return isTurned ? applyOrientation(stored, orientationOf(header)) : stored;
}

async function decodePixels(
  bytes: Uint8Array,
  header: ImageHeader,
  name: string,
  mode: MediaMode,
): Promise<Uint8Array> {
  let pixels: Uint8Array;
  try {
    pixels = await decodeStored(bytes, header, mode);
  } catch (cause) {
    if (cause instanceof GlimtError) throw cause;
    if (isOutOfMemory(cause)) throw outOfMemory("Image", name, cause);
    const size = `${header.width} x ${header.height} ${FILE_KIND_NAMES[header.format]}`;
    const known = cause instanceof Unreadable ? cause.message : undefined;
    const reason = known ?? "the file is corrupt, truncated or of an unsupported kind";
    throw new GlimtError("IMAGE_INVALID", `Image ${name} (${size}) can not be decoded: ${reason}.`, {
      cause,
    });
  }
  const found = pixels.length / channelsOf(header.format);
  const expected = header.width * header.height;
  if (found !== expected) {
    throw new GlimtError(
      "IMAGE_INVALID",
      `Image ${name} decodes to ${found} pixels, but its header says ${expected}.`,
    );
  }
  return pixels;
}

async function decodeStored(
  bytes: Uint8Array,
  { format, isAnimation }: ImageHeader,
  mode: MediaMode,
): Promise<Uint8Array> {
  if (isAnimation) {
    const animation = await openAnimation(bytes, format);
    if (!animation) throw new Error("no frames");
    return readFirstFrame(animation);
  }
  return (await STILL_CODECS[format]()).decode(bytes, mode);
}
