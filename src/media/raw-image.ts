/** Pixels that a caller has decoded, checked. */

import { turnWhenDue } from "../event-loop.ts";
import { type AlphaRule, rgbaToRgb } from "./alpha.ts";
import { checkPixels } from "./check-pixels.ts";
import { isOutOfMemory, newBytes, outOfMemory } from "./memory.ts";
import type { MediaMode } from "./mode.ts";
import type { RgbImage } from "./rgb-image.ts";
import { mediaError, type RawImage } from "./source.ts";
import { bytesHeld } from "./sources/bytes.ts";

/** What errors call it. */
const NAME = "of raw pixels";

/** Their number is limited by that of pixels. */
const ANY_SIZE = { what: "", maxBytes: Number.POSITIVE_INFINITY };

/** @throws IMAGE_INVALID naming the field that is wrong; IMAGE_TOO_LARGE; OUT_OF_MEMORY; ABORTED */
export async function rawToRgb(
  { data, width, height, channels }: RawImage,
  mode: MediaMode,
  maxDecodedPixels: number | undefined,
  signal?: AbortSignal,
): Promise<RgbImage> {
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
  if (found === 3) return { data: bytes, width, height };
  const rgb = await withoutAlpha(bytes, mode === "default" ? "white" : "drop", signal);
  return { data: rgb, width, height };
}

/** Pixels between two turns of the event loop: some milliseconds. */
const PIECE = 2 ** 19;

/** Huge pictures take a while, on the caller's thread. */
async function withoutAlpha(
  rgba: Uint8Array,
  rule: AlphaRule,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const pixels = rgba.length / 4;
  const rgb = newBytes(pixels * 3, "Image", NAME);
  for (let at = 0; at < pixels; at += PIECE) {
    await turnWhenDue(signal);
    rgb.set(rgbaToRgb(rgba.slice(at * 4, (at + PIECE) * 4), rule), at * 3);
  }
  return rgb;
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
