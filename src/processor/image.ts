/** The image processor: RGB bytes to pixelValues and grid, equal to Hugging Face's in every bit. */

import type { ImageProcessorConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import type { RgbImage } from "../media/rgb-image.ts";
import type { GridThw } from "./grid.ts";
import { Patchifier } from "./patchify.ts";
import type { Rounding } from "./resample-weights.ts";
import { imageSize } from "./sizes.ts";

export interface ProcessedPixels {
  /** f32 [patches, 3 * temporalPatchSize * patchSize * patchSize], rows in merge-block order. */
  readonly pixelValues: Float32Array;
  readonly gridThw: GridThw;
  readonly resizedWidth: number;
  readonly resizedHeight: number;
}

export interface PixelOptions {
  /** Which of the reference's two processor backends to equal bit for bit; default "torchvision". */
  readonly rounding?: Rounding;
  readonly signal?: AbortSignal | undefined;
}

/** @throws IMAGE_INVALID for a size that smartResize refuses; OUT_OF_MEMORY; ABORTED. */
export async function processImage(
  image: RgbImage,
  config: ImageProcessorConfig,
  options: PixelOptions = {},
): Promise<ProcessedPixels> {
  const rounding = options.rounding ?? "torchvision";
  const { resizedWidth, resizedHeight, gridThw, numPatches } = imageSize(image.width, image.height, config);
  const pixelValues = newPixelValues(numPatches * patchLength(config));
  const resized = { width: resizedWidth, height: resizedHeight };
  await new Patchifier(image, resized, config, rounding).writePicture(
    image.data,
    pixelValues,
    options.signal,
  );
  return { pixelValues, gridThw, resizedWidth, resizedHeight };
}

/** @throws OUT_OF_MEMORY */
export function newPixelValues(floats: number): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(floats);
  } catch (cause) {
    throw new GlimtError(
      "OUT_OF_MEMORY",
      `Its ${floats} pixel values take more memory than there is; the processor's maxPixels limits them.`,
      { cause },
    );
  }
}

/** Floats in one row of pixelValues. */
export function patchLength(config: Pick<ImageProcessorConfig, "patchSize" | "temporalPatchSize">): number {
  return 3 * config.temporalPatchSize * config.patchSize ** 2;
}
