/** Animated WebP: every frame is decoded as a still WebP file of its own. */

import { type WebpFrame, webpFile } from "../webp-file.ts";
import { type Animation, type AnimationFrame, shownSeconds } from "./animation.ts";

/** The animation in a WebP file, or null for a still picture. @throws as webpFile does */
export function readAnimatedWebp(bytes: Uint8Array): Animation | null {
  const { width, height, isAnimation, hasAlpha, frames } = webpFile(bytes);
  if (!isAnimation) return null;
  // libwebp ignores the colour in the file.
  return { width, height, background: [0, 0, 0, hasAlpha ? 0 : 255], frames: frames.map(frameOf) };
}

function frameOf(frame: WebpFrame): AnimationFrame {
  const { x, y, width, height, milliseconds, isReplacing, isCleared } = frame;
  return {
    x,
    y,
    width,
    height,
    seconds: shownSeconds(milliseconds / 1000),
    blend: isReplacing ? "replace" : "over",
    dispose: isCleared ? "clear" : "keep",
    decode: async () => {
      const { decodeWebp } = await import("../codecs/webp.ts");
      return decodeWebp(frame);
    },
  };
}
