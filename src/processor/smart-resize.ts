/** The size an image or video is resized to: sides are multiples of a factor, the area over all frames is within limits. */

import { GlimtError } from "../errors.ts";
import { readFields, shown } from "../given.ts";

/** A picture's or video's size, and the processor's limits. */
export interface SmartResizeOptions {
  /** Frames of the video; an image counts as temporalFactor frames. */
  readonly numFrames: number;
  /** Pixels. */
  readonly height: number;
  /** Pixels. */
  readonly width: number;
  /** temporal_patch_size. */
  readonly temporalFactor: number;
  /** patch_size x merge_size. */
  readonly factor: number;
  /** The least pixels, counted over all frames (`size.shortest_edge`; the most: `size.longest_edge`). */
  readonly minPixels: number;
  /** The most, counted the same. */
  readonly maxPixels: number;
}

const OPTION_NAMES = [
  "numFrames",
  "height",
  "width",
  "temporalFactor",
  "factor",
  "minPixels",
  "maxPixels",
] as const;
export const MAX_ASPECT_RATIO = 200;

/**
 * The resized [height, width], as transformers' `smart_resize` of glm4v and glm46v (they are the same function).
 * The order of the floating-point operations is the reference's, because a rounding decides a whole row of patches.
 *
 * @throws IMAGE_INVALID for a side that is no positive integer, or an aspect ratio over 200 (checked after small
 * sides were scaled up to the factor); VIDEO_INVALID for fewer frames than temporalFactor; INPUT_INVALID naming the
 * option that is no such number.
 */
export function smartResize(given: SmartResizeOptions): [height: number, width: number] {
  const options = readFields(given, "smartResize", OPTION_NAMES);
  const { numFrames, temporalFactor, factor, minPixels, maxPixels } = options;
  checkSides(options.height, options.width);
  const areNumbers = typeof numFrames === "number" && typeof temporalFactor === "number";
  if (areNumbers && numFrames < temporalFactor) {
    throw new GlimtError(
      "VIDEO_INVALID",
      `${numFrames} frames are fewer than the ${temporalFactor} that one patch spans; repeat the last frame.`,
    );
  }
  checkNumbers({ numFrames, temporalFactor, factor, minPixels, maxPixels });

  let { height, width } = options;
  if (height < factor || width < factor) {
    const scale = Math.max(factor / height, factor / width);
    height = Math.trunc(height * scale);
    width = Math.trunc(width * scale);
  }
  const aspectRatio = Math.max(height, width) / Math.min(height, width);
  if (aspectRatio > MAX_ASPECT_RATIO) {
    throw new GlimtError(
      "IMAGE_INVALID",
      `A picture of ${options.width} x ${options.height} has an aspect ratio of ${aspectRatio.toFixed(1)}; ` +
        `at most ${MAX_ASPECT_RATIO} is possible. Crop or pad it.`,
    );
  }

  const roundedHeight = roundHalfToEven(height / factor) * factor;
  const roundedWidth = roundHalfToEven(width / factor) * factor;
  const roundedFrames = roundHalfToEven(numFrames / temporalFactor) * temporalFactor;
  const roundedPixels = roundedFrames * roundedHeight * roundedWidth;
  if (roundedPixels > maxPixels) {
    const shrink = Math.sqrt((numFrames * height * width) / maxPixels);
    const side = (length: number) => Math.max(factor, Math.floor(length / shrink / factor) * factor);
    return [side(height), side(width)];
  }
  if (roundedPixels < minPixels) {
    const grow = Math.sqrt(minPixels / (numFrames * height * width));
    const side = (length: number) => Math.ceil((length * grow) / factor) * factor;
    return [side(height), side(width)];
  }
  return [roundedHeight, roundedWidth];
}

/** Python's `round`: halves go to the even neighbour. */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

function checkSides(height: number, width: number): void {
  if (!Number.isInteger(height) || !Number.isInteger(width) || height < 1 || width < 1) {
    throw new GlimtError(
      "IMAGE_INVALID",
      `A picture of ${shown(width)} x ${shown(height)} pixels has no usable size.`,
    );
  }
}

/** Counts are whole; a limit on pixels may be any number. Frames were compared with temporalFactor already. */
function checkNumbers(numbers: Omit<SmartResizeOptions, "height" | "width">): void {
  const { minPixels, maxPixels, ...counts } = numbers;
  const rules: [string, unknown, boolean, string][] = [
    ...Object.entries(counts).map(([name, value]): [string, unknown, boolean, string] => [
      name,
      value,
      Number.isInteger(value) && value >= 1,
      "a whole number from 1",
    ]),
    ["minPixels", minPixels, Number.isFinite(minPixels) && minPixels >= 0, "a number from 0"],
    ["maxPixels", maxPixels, Number.isFinite(maxPixels) && maxPixels > 0, "a number above 0"],
  ];
  for (const [name, value, isValid, expected] of rules) {
    if (!isValid) throw new GlimtError("INPUT_INVALID", `${name} is ${shown(value)}, expected ${expected}.`);
  }
}
