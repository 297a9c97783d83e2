/** Animated PNG: every frame is put together as a still PNG file of its own and decoded. */

import { concatBytes, viewOf } from "../bytes.ts";
import { type PngChunk, type PngParts, pngChunks } from "../png-chunks.ts";
import { pngParts } from "../png-picture.ts";
import { type Animation, type AnimationFrame, shownSeconds } from "./animation.ts";

const DISPOSE = ["keep", "clear", "restore"] as const;

/** The animation in a PNG file, or null for a still picture. @throws RangeError for a truncated file */
export function readApng(bytes: Uint8Array): Animation | null {
  const chunks = [...pngChunks(bytes)];
  if (!chunks.some(({ type }) => type === "acTL")) return null;
  const still = pngParts(bytes);
  const frames: { control: PngChunk; data: Uint8Array[] }[] = [];
  for (const chunk of chunks) {
    // Image data before the first control chunk is a picture for viewers that know no animation.
    if (chunk.type === "fcTL") frames.push({ control: chunk, data: [] });
    else if (chunk.type === "IDAT") frames.at(-1)?.data.push(chunk.data);
    else if (chunk.type === "fdAT") frames.at(-1)?.data.push(chunk.data.subarray(4));
  }
  const view = viewOf(still.header);
  return {
    width: view.getUint32(0),
    height: view.getUint32(4),
    background: [0, 0, 0, 0],
    frames: frames.map(({ control, data }, index) => frameOf(control, index === 0, still, data)),
  };
}

function frameOf(
  control: PngChunk,
  isFirst: boolean,
  still: PngParts,
  data: readonly Uint8Array[],
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
      return decodePng({ ...still, header, pixels: concatBytes(data) });
    },
  };
}
