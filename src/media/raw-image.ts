/** Pixels that a caller has decoded, checked. */

import { rgbaToRgb } from "./alpha.ts";
import { checkPixels } from "./check-pixels.ts";
import { copyBytes, isOutOfMemory, outOfMemory } from "./memory.ts";
import type { MediaMode } from "./mode.ts";
import type { RgbImage } from "./rgb-image.ts";
import { mediaError, type RawImage } from "./source.ts";
import { bytesHeld } from "./sources/bytes.ts";

/** What errors call it. */
const NAME = "of raw pixels";

/** Their number is limited by that of pixels. */
const ANY_SIZE = { what: "", maxBytes: Number.POSITIVE_INFINITY };

/** @throws IMAGE_INVALID naming the field that is wrong; IMAGE_TOO_LARGE; OUT_OF_MEMORY */
export function rawToRgb(
  { data, width, height, channels }: RawImage,
  mode: MediaMode,
  maxDecodedPixels: number | undefined,
): RgbImage {
  const isSide = (side: unknown) => Number.isSafeInteger(side) && (side as number) >= 1;
  if (!isSide(width) || !isSide(height)) {
    throw invalid(`width and height are ${shown(width)} and ${shown(height)}, expected whole numbers from 1`);
  }
  if (channels !== undefined && channels !== 3 && channels !== 4) {
    throw invalid(`channels is ${shown(channels)}, expected 3 or 4`);
  }
  checkPixels({ width, height }, maxDecodedPixels, NAME);
  const bytes = bytesOf(data);
  const pixels = width * height;
  const found = channels ?? bytes.length / pixels;
  if (found !== 3 && found !== 4) {
    throw invalid(`${width} x ${height} with ${bytes.length} bytes have neither 3 nor 4 channels`);
  }
  if (bytes.length !== pixels * found) {
    throw invalid(
      `${width} x ${height} x ${found} are ${pixels * found} bytes, but ${bytes.length} were given`,
    );
  }
  const rgb =
    found === 3 ? bytes : rgbaToRgb(copyBytes(bytes, "Image", NAME), mode === "default" ? "white" : "drop");
  return { data: rgb, width, height };
}

function bytesOf(data: unknown): Uint8Array {
  let bytes: Uint8Array | undefined;
  try {
    bytes = bytesHeld(data, ANY_SIZE);
  } catch (cause) {
    if (isOutOfMemory(cause)) throw outOfMemory("Image", NAME, cause);
    throw invalid(`data can not be read: ${(cause as Error).message}`);
  }
  if (bytes) return bytes;
  throw invalid(`data is ${Array.isArray(data) ? "a list" : shown(data)}, expected a Uint8Array`);
}

function invalid(problem: string) {
  return mediaError("Image", `${NAME}: ${problem}.`);
}

function shown(value: unknown): string {
  return typeof value === "number" || value === null
    ? String(value)
    : value === undefined
      ? "nothing"
      : `a ${typeof value}`;
}
