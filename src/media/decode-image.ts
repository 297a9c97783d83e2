/** Any image source to RGB bytes, the same in Node, browsers and workers. */

import { GlimtError } from "../errors.ts";
import { rgbaToRgb } from "./alpha.ts";
import { checkPixels } from "./check-pixels.ts";
import { callOptions, type DecodingOptions, mediaWorkers, ownBytes } from "./media-workers.ts";
import { checkMode } from "./mode.ts";
import type { RgbImage } from "./rgb-image.ts";
import { type ImageSource, isRawImage, type RawImage, readSource, type SourceOptions } from "./source.ts";

export type { MediaMode } from "./mode.ts";

export interface MediaOptions extends SourceOptions, DecodingOptions {}

/**
 * Of an animation the first frame is taken, as Hugging Face does. The file is parsed in a worker where `workers` has
 * one; bytes of the caller's stay the caller's.
 *
 * @throws IMAGE_INVALID for a source that is unreadable, empty, truncated, corrupt or of an unknown format;
 * IMAGE_TOO_LARGE for more pixels than maxDecodedPixels; TIMED_OUT; ABORTED.
 */
export async function decodeImage(source: ImageSource, options: MediaOptions = {}): Promise<RgbImage> {
  const { mode = "default", maxDecodedPixels } = options;
  checkMode(mode);
  if (isRawImage(source)) {
    const rgb = rawToRgb(source, mode === "default" ? "white" : "drop");
    checkPixels(rgb, maxDecodedPixels, "of raw pixels");
    return rgb;
  }
  const file = await readSource(source, options);
  const { name } = file;
  const bytes = ownBytes(file);
  return mediaWorkers(options).run(
    "decodeStill",
    { bytes, name, mode, maxDecodedPixels },
    callOptions("Image", name, options, [bytes.buffer]),
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
