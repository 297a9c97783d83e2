/** Grids and token counts of pictures and videos of a given size, without touching a pixel. */

import type { ImageProcessorConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import { readFields, shown } from "../given.ts";
import { type GridThw, numMergedTokens, numPatches } from "./grid.ts";
import { smartResize } from "./smart-resize.ts";

/** What a picture or video of some size becomes. */
export interface VisionSize {
  /** Pixels. */
  readonly resizedWidth: number;
  /** Pixels. */
  readonly resizedHeight: number;
  /** Patches in time, height and width. */
  readonly gridThw: GridThw;
  /** Rows of pixelValues. */
  readonly numPatches: number;
  /** Placeholder tokens in the prompt (a video's timestamps and frame markers come on top). */
  readonly numTokens: number;
}

/** What an image of `width` x `height` becomes. Throws as smartResize does. */
export function imageSize(width: number, height: number, config: ImageProcessorConfig): VisionSize {
  return visionSize(readConfig(config).temporalPatchSize, width, height, config);
}

/**
 * What `numFrames` (sampled) frames become. The area budget spans all frames, so more frames mean smaller ones.
 * Frames fewer than one temporal patch count as one, because the last frame is repeated to fill it.
 */
export function videoSize(
  numFrames: number,
  width: number,
  height: number,
  config: ImageProcessorConfig,
): VisionSize {
  const { temporalPatchSize } = readConfig(config);
  // What is no number is smartResize's to refuse.
  const frames = typeof numFrames === "number" ? Math.max(numFrames, temporalPatchSize) : numFrames;
  return visionSize(frames, width, height, config);
}

type SizeConfig = Pick<ImageProcessorConfig, (typeof CONFIG_FIELDS)[number]>;

const CONFIG_FIELDS = ["patchSize", "temporalPatchSize", "mergeSize", "minPixels", "maxPixels"] as const;

/** @throws INPUT_INVALID for what is no configuration */
export function readConfig(given: ImageProcessorConfig): SizeConfig {
  const config = readFields<SizeConfig>(given, "config", CONFIG_FIELDS);
  for (const name of ["patchSize", "temporalPatchSize", "mergeSize"] as const) {
    if (Number.isSafeInteger(config[name]) && config[name] >= 1) continue;
    throw new GlimtError(
      "INPUT_INVALID",
      `config.${name} is ${shown(config[name])}, expected a whole number from 1.`,
    );
  }
  return config;
}

function visionSize(
  numFrames: number,
  width: number,
  height: number,
  config: ImageProcessorConfig,
): VisionSize {
  const { patchSize, temporalPatchSize, mergeSize, minPixels, maxPixels } = readConfig(config);
  const [resizedHeight, resizedWidth] = smartResize({
    numFrames,
    height,
    width,
    temporalFactor: temporalPatchSize,
    factor: patchSize * mergeSize,
    minPixels,
    maxPixels,
  });
  const gridThw: GridThw = [
    Math.ceil(numFrames / temporalPatchSize),
    resizedHeight / patchSize,
    resizedWidth / patchSize,
  ];
  return {
    resizedWidth,
    resizedHeight,
    gridThw,
    numPatches: numPatches(gridThw),
    numTokens: numMergedTokens(gridThw, mergeSize),
  };
}
