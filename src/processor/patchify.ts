/** Resized frames to rows of pixelValues: normalised, cut into patches, in the merge-block order of the checkpoints. */

import type { ImageProcessorConfig } from "../config/types.ts";
import { PixelArena } from "./pixels-module.ts";

const CHANNELS = 3;

/**
 * Writes the patches of one temporal patch. Bands of merge x patch rows pass through the WebAssembly memory one
 * after the other, so that it never holds more than a strip of the picture.
 *
 * @param frames the temporal patch's frames, u8 [height, width, 3] each, sides multiples of patch x merge; a single
 * one stands for all of them, as for an image.
 * @param table from normaliseTable.
 * @param out f32 [height/patch * width/patch, 3 * temporalPatchSize * patch * patch], each row [channel, frame, y, x].
 */
export function patchify(
  frames: readonly Uint8Array[],
  width: number,
  height: number,
  config: Pick<ImageProcessorConfig, "patchSize" | "temporalPatchSize" | "mergeSize">,
  table: Float32Array,
  out: Float32Array,
): void {
  const { patchSize, mergeSize, temporalPatchSize } = config;
  const bandRows = patchSize * mergeSize;
  const bandBytes = bandRows * width * CHANNELS;
  const bandFloats = bandRows * width * CHANNELS * temporalPatchSize;
  const frameStride = frames.length === 1 ? 0 : bandBytes;

  const arena = new PixelArena();
  const tablePtr = arena.place(table);
  const bandPtr = arena.allocate(bandBytes * frames.length);
  const outPtr = arena.allocate(bandFloats * Float32Array.BYTES_PER_ELEMENT);
  const bands = arena.bytes(bandPtr, bandBytes * frames.length);
  const result = arena.floats(outPtr, bandFloats);
  for (let band = 0; band < height / bandRows; band++) {
    frames.forEach((frame, i) => {
      bands.set(frame.subarray(band * bandBytes, (band + 1) * bandBytes), i * bandBytes);
    });
    arena.kernels.patchifyBand(
      ...([bandPtr, frameStride, temporalPatchSize, width, patchSize, mergeSize, tablePtr, outPtr] as const),
    );
    out.set(result, band * bandFloats);
  }
}
