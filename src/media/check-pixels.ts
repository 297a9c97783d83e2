/** The limits on what a file may decode to, asked before it is decoded. */

import { GlimtError } from "../errors.ts";
import type { MediaNoun } from "./source.ts";

/** 400 MB of RGBA. */
const DEFAULT_MAX_DECODED_PIXELS = 100_000_000;
/**
 * Frames of an animation may have so many times the pixels of a picture together: each that is looked at needs those before it,
 * and 10^10 pixels take minutes. An hour of 640 x 480 at four frames a second has half of them.
 */
const ANIMATION_PICTURES = 100;

/** @throws IMAGE_TOO_LARGE naming the source and the limit. */
export function checkPixels(
  { width, height }: { width: number; height: number },
  limit: number | undefined,
  name: string,
  noun: MediaNoun = "Image",
): void {
  const most = limit ?? DEFAULT_MAX_DECODED_PIXELS;
  if (width * height <= most) return;
  throw new GlimtError(
    "IMAGE_TOO_LARGE",
    `${noun} ${name} is ${width} x ${height}, ${width * height} pixels; the limit is ${most}. ` +
      "Shrink it, or raise the option maxDecodedPixels if you trust it.",
  );
}

/** A lower limit is of single pictures. @throws IMAGE_TOO_LARGE for an animation whose frames have too many pixels together */
export function checkAnimation(
  frames: readonly { readonly width: number; readonly height: number }[],
  limit: number | undefined,
  name: string,
): void {
  const most = ANIMATION_PICTURES * Math.max(limit ?? 0, DEFAULT_MAX_DECODED_PIXELS);
  const pixels = frames.reduce((sum, { width, height }) => sum + width * height, 0);
  if (pixels <= most) return;
  throw new GlimtError(
    "IMAGE_TOO_LARGE",
    `Video ${name} has ${frames.length} frames of ${pixels} pixels together; the limit is ${most}. ` +
      `Shorten it or shrink it, or set the option maxDecodedPixels to ${Math.ceil(pixels / ANIMATION_PICTURES)} if you trust it.`,
  );
}
