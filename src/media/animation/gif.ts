/** GIF, still or animated: frames as FFmpeg shows them, the first one alone as Pillow does. */

import { Unreadable } from "../codecs/unreadable.ts";
import { type Animation, type AnimationFrame, MOST_FRAMES, shownSeconds } from "./animation.ts";
import { type GifFrame, gifFrames, gifScreen } from "./gif-blocks.ts";
import { checkGifData, drawGifFrame } from "./gif-lzw.ts";

const DISPOSE: Readonly<Record<number, AnimationFrame["dispose"]>> = { 2: "clear", 3: "restore" };

/**
 * The canvas holds every frame: files give a screen that is too small, or of no size.
 *
 * @throws RangeError for a truncated file
 */
export function readGif(bytes: Uint8Array): Animation {
  const screen = gifScreen(bytes);
  const frames: GifFrame[] = [];
  for (const frame of gifFrames(bytes, screen)) {
    if (frames.push(frame) > MOST_FRAMES) throw new Unreadable(`it has more than ${MOST_FRAMES} frames`);
  }
  return {
    width: frames.reduce((most, { x, width }) => Math.max(most, x + width), screen.width),
    height: frames.reduce((most, { y, height }) => Math.max(most, y + height), screen.height),
    // FFmpeg's, which shows when transparency is dropped.
    background: [255, 255, 255, 0],
    frames: frames.map((frame) => frameOf(bytes, frame)),
  };
}

function frameOf(bytes: Uint8Array, frame: GifFrame): AnimationFrame {
  const { x, y, width, height, transparent, disposal, delay } = frame;
  return {
    x,
    y,
    width,
    height,
    seconds: shownSeconds(delay / 100),
    blend: transparent === undefined ? "replace" : "over",
    dispose: DISPOSE[disposal] ?? "keep",
    decode: async () => {
      checkGifData(bytes, frame);
      const pixels = new Uint32Array(width * height);
      drawGifFrame(bytes, { ...frame, x: 0, y: 0 }, pixelValues(frame), pixels, width);
      return new Uint8Array(pixels.buffer);
    },
  };
}

/** The first frame and the screen that holds it, as Pillow has them. @throws RangeError for a truncated file */
export function firstGifFrame(bytes: Uint8Array): { frame: GifFrame; width: number; height: number } {
  const screen = gifScreen(bytes);
  for (const frame of gifFrames(bytes, screen)) {
    const width = Math.max(screen.width, frame.x + frame.width);
    const height = Math.max(screen.height, frame.y + frame.height);
    return { frame, width, height };
  }
  throw new RangeError("it has no frames");
}

/**
 * RGBA of the first frame on its screen, the rest of which has the transparent colour, or the first one.
 *
 * @throws Unreadable saying what is wrong with a truncated or corrupt file
 */
export async function decode(bytes: Uint8Array): Promise<Uint8Array> {
  const { frame, width, height } = firstGifFrame(bytes);
  if (frame.width === 0 || frame.height === 0) throw new Unreadable("its first frame has no pixels");
  checkGifData(bytes, frame);
  const values = pixelValues(frame);
  const pixels = new Uint32Array(width * height).fill(values[frame.transparent ?? 0] as number);
  drawGifFrame(bytes, frame, values, pixels, width);
  return new Uint8Array(pixels.buffer);
}

/** RGBA of each colour, as pixels lie in memory. As in Pillow, what a table lacks is black; without a table all is grey. */
function pixelValues({ colours, transparent }: GifFrame): Uint32Array {
  const rgba = new Uint8Array(256 * 4);
  // A table that counts from 0 is taken for none.
  const isGrey = colours.every((value, i) => value === Math.floor(i / 3));
  for (let i = 0; i < 256; i++) {
    rgba.set(isGrey ? [i, i, i] : colours.subarray(i * 3, i * 3 + 3), i * 4);
    rgba[i * 4 + 3] = i === transparent ? 0 : 255;
  }
  return new Uint32Array(rgba.buffer);
}
