/** Any image source to RGB bytes, the same in Node, browsers and workers. */

import { callOptions, type DecodingOptions, mediaWorkers, ownBytes } from "./media-workers.ts";
import { checkMode } from "./mode.ts";
import { rawToRgb } from "./raw-image.ts";
import type { RgbImage } from "./rgb-image.ts";
import { type ImageSource, isRawImage, readSource, type SourceOptions } from "./source.ts";

export type { MediaMode } from "./mode.ts";

export interface MediaOptions extends SourceOptions, DecodingOptions {}

/**
 * Of an animation the first frame is taken, as Hugging Face does. The file is parsed in a worker where `workers` has
 * one; bytes of the caller's stay the caller's.
 *
 * @throws IMAGE_INVALID for a source that is unreadable, empty, truncated, corrupt or of an unknown format;
 * IMAGE_TOO_LARGE for more pixels than maxDecodedPixels; SOURCE_REFUSED; SOURCE_TOO_LARGE;
 * OUT_OF_MEMORY; TIMED_OUT; ABORTED.
 */
export async function decodeImage(source: ImageSource, options: MediaOptions = {}): Promise<RgbImage> {
  const { mode = "default", maxDecodedPixels } = options;
  checkMode(mode);
  if (isRawImage(source)) return rawToRgb(source, mode, maxDecodedPixels, options.signal);
  const file = await readSource(source, options);
  const { name } = file;
  const bytes = ownBytes(file, "Image");
  return mediaWorkers(options).run(
    "decodeStill",
    { bytes, name, mode, maxDecodedPixels },
    callOptions("Image", name, options, [bytes.buffer]),
  );
}
