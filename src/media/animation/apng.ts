/** Animated PNG: every frame is put together as a still PNG file of its own and decoded. */

import { viewOf } from "../bytes.ts";
import { type PngChunk, type PngParts, pngChunks } from "../png-chunks.ts";
import { pixelChunks, pngParts } from "../png-picture.ts";
import { type Animation, type AnimationFrame, shownSeconds } from "./animation.ts";

const DISPOSE = ["keep", "clear", "restore"] as const;

/** The animation in a PNG file, or null for a still picture. @throws RangeError for a truncated file */
export function readApng(bytes: Uint8Array): Animation | null {
  const chunks = [...pngChunks(bytes, "whole")];
  if (!chunks.some(({ type }) => type === "acTL")) return null;
  const still = pngParts(bytes);
  const frames: { control: PngChunk; pixels: PngChunk[] }[] = [];
  for (const chunk of chunks) {
    // Image data before the first control chunk is a picture for viewers that know no animation.
    if (chunk.type === "fcTL") frames.push({ control: chunk, pixels: [] });
    else if (chunk.type === "IDAT" || chunk.type === "fdAT") frames.at(-1)?.pixels.push(chunk);
  }
  const view = viewOf(still.header);
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    background: [0, 0, 0, 0],
    frames: frames.map(({ control, pixels }, index) => frameOf(control, index === 0, still, pixels)),
  };
}

function frameOf(
  control: PngChunk,
  isFirst: boolean,
  still: PngParts,
  pixels: readonly PngChunk[],
): AnimationFrame {
  const view = viewOf(control.data);
  const width = view.getUint32(4);
  const height = view.getUint32(8);
  const dispose = DISPOSE[view.getUint8(24)] ?? "keep";
  return {
    x: view.getUint32(12),
    y: view.getUint32(16),
    width,
    height,
    seconds: shownSeconds(view.getUint16(20) / (view.getUint16(22) || 100)),
    blend: view.getUint8(25) === 1 ? "over" : "replace",
    // Before the first frame there was nothing to restore.
    dispose: isFirst && dispose === "restore" ? "clear" : dispose,
    decode: async () => {
      const { decodePng } = await import("../codecs/png.ts");
      const header = still.header.slice();
      viewOf(header).setUint32(0, width);
      viewOf(header).setUint32(4, height);
      return decodePng({ ...still, header, pixels: pixelChunks(pixels, header) });
    },
  };
}
