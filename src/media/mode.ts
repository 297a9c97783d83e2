/** How pixels are made of what a file holds. */

import { GlimtError } from "../errors.ts";

/**
 * "default": EXIF orientation is applied and transparency is laid on white, as a viewer shows the picture.
 * "huggingface": neither, exactly the reference's pixels; a TIFF picture is turned there too, since Pillow turns it when it
 * reads it, and shades of grey of 16 bits are clipped to 255, where "default" keeps their upper 8 bits.
 */
export type MediaMode = "default" | "huggingface";

/** @throws OPTION_INVALID */
export function checkMode(mode: MediaMode): void {
  if (mode === "default" || mode === "huggingface") return;
  throw new GlimtError(
    "OPTION_INVALID",
    `Media mode "${mode}" is unknown; it is "default" or "huggingface".`,
  );
}
