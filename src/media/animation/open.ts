/** Opens a file as an animation; each reader is loaded with the first file of its format. */

import type { FileKind } from "../file-kind.ts";
import { type Animation, type AnimationFrame, frameProblem } from "./animation.ts";
import { AnimationReader } from "./compose.ts";

const READERS: Partial<Record<FileKind, (bytes: Uint8Array) => Promise<Animation | null>>> = {
  gif: async (bytes) => (await import("./gif.ts")).readGif(bytes),
  webp: async (bytes) => (await import("./webp.ts")).readAnimatedWebp(bytes),
  png: async (bytes) => (await import("./apng.ts")).readApng(bytes),
};

/**
 * Null for a still picture; a GIF is an animation whatever the number of its frames.
 *
 * @throws Error saying what is wrong with a truncated or corrupt file.
 */
export async function openAnimation(bytes: Uint8Array, kind: FileKind): Promise<Animation | null> {
  const animation = await READERS[kind]?.(bytes);
  if (!animation || (kind !== "gif" && animation.frames.length === 0)) return null;
  if (animation.frames.length === 0) throw new Error("it has no frames");
  animation.frames.forEach((frame, index) => {
    const problem = frameProblem(animation, frame);
    if (problem) throw new Error(`frame ${index} ${problem}`);
  });
  return animation;
}

/** RGBA of the first frame; colours under full transparency are kept. */
export function readFirstFrame(animation: Animation): Promise<Uint8Array> {
  const first = animation.frames[0] as AnimationFrame;
  return new AnimationReader({ ...animation, frames: [{ ...first, blend: "replace" }] }).frame(0);
}
