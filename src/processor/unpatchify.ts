/** Rows of pixelValues back to the picture or frame that they were cut of: what the vision tower sees. */

import type { ImageProcessorConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { turnWhenDue } from "../event-loop.ts";
import { shown } from "../given.ts";
import { type GridThw, numPatches } from "./grid.ts";
import { patchLength } from "./image.ts";

/** Pixels as `ImageData` has them. */
export interface RgbaImage {
  /** u8 [height, width, 4], rows from the top, opaque. */
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
}

/** Of the processor's configuration, what it takes to undo it. */
export type UnpatchifyConfig = Pick<
  ImageProcessorConfig,
  "patchSize" | "temporalPatchSize" | "mergeSize" | "imageMean" | "imageStd" | "rescaleFactor"
>;

/** Which frame, and what ends it. */
export interface UnpatchifyOptions {
  /** Of a video: which of the frames that were taken, from 0. Default 0; those of an image are all the same. */
  readonly frame?: number | undefined;
  /** Ends it, with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The resized picture, byte for byte. Large ones take a while: turns of the event loop are taken.
 *
 * @param pixelValues f32 [t*h*w, 3 * temporalPatchSize * patchSize²] of one image or video, rows in merge-block order.
 * @throws INPUT_INVALID when grid and values do not match, or there is no such frame; ABORTED
 */
export async function unpatchify(
  pixelValues: Float32Array,
  gridThw: GridThw,
  config: UnpatchifyConfig,
  { frame = 0, signal }: UnpatchifyOptions = {},
): Promise<RgbaImage> {
  const [, h, w] = gridThw;
  const [width, height] = [w * config.patchSize, h * config.patchSize];
  const data = new Uint8ClampedArray(width * height * 4);
  for (let band = 0; band < h / config.mergeSize; band++) {
    await turnWhenDue(signal);
    const { data: pixels } = unpatchifyBand(pixelValues, gridThw, config, band, frame);
    data.set(pixels, band * pixels.length);
  }
  return { data, width, height };
}

/**
 * A band of the same picture, as high as a merge block: for who draws it piece by piece.
 *
 * @param band from 0, from the top. @throws INPUT_INVALID as `unpatchify`, and when there is no such band
 */
export function unpatchifyBand(
  pixelValues: Float32Array,
  gridThw: GridThw,
  config: UnpatchifyConfig,
  band: number,
  frame = 0,
): RgbaImage {
  const { patchSize, temporalPatchSize, mergeSize } = config;
  const [t, h, w] = gridThw;
  const rowLength = patchLength(config);
  const expected = numPatches(gridThw) * rowLength;
  if (pixelValues.length !== expected) {
    throw new GlimtError(
      "INPUT_INVALID",
      `A grid of ${gridThw.join(" x ")} has ${expected} pixel values, but ${pixelValues.length} were given.`,
    );
  }
  checkPlace("frame", frame, t * temporalPatchSize);
  checkPlace("band", band, h / mergeSize);
  const [width, height] = [w * patchSize, mergeSize * patchSize];
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  const channels = [0, 1, 2].map((channel) => {
    const scale = (config.imageStd[channel] as number) / config.rescaleFactor;
    return { scale, offset: (config.imageMean[channel] as number) / config.rescaleFactor };
  });
  const area = patchSize ** 2;
  // The patches of a frame follow one another; a row of them has all channels, of each all frames of the temporal patch.
  const firstPatch = Math.floor(frame / temporalPatchSize) * h * w + band * mergeSize * w;
  for (let patch = 0; patch < mergeSize * w; patch++) {
    const [block, inBlock] = [Math.floor(patch / mergeSize ** 2), patch % mergeSize ** 2];
    const top = Math.floor(inBlock / mergeSize) * patchSize;
    const left = (block * mergeSize + (inBlock % mergeSize)) * patchSize;
    const values = (firstPatch + patch) * rowLength + (frame % temporalPatchSize) * area;
    for (const [channel, { scale, offset }] of channels.entries()) {
      let value = values + channel * temporalPatchSize * area;
      for (let y = 0; y < patchSize; y++) {
        let to = ((top + y) * width + left) * 4 + channel;
        for (let x = 0; x < patchSize; x++, value++, to += 4) {
          data[to] = (pixelValues[value] as number) * scale + offset;
        }
      }
    }
  }
  return { data, width, height };
}

function checkPlace(name: string, value: number, end: number): void {
  if (Number.isInteger(value) && value >= 0 && value < end) return;
  throw new GlimtError("INPUT_INVALID", `${name} is ${shown(value)}, expected a whole number below ${end}.`);
}
