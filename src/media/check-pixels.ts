/** The limit on what a file may decode to, asked before it is decoded. */

import { GlimtError } from "../errors.ts";
import type { MediaNoun } from "./source.ts";

/** 400 MB of RGBA. */
const DEFAULT_MAX_DECODED_PIXELS = 100_000_000;

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
