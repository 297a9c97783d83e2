/** Rescale and normalise: a byte has 256 values, so both are one table a channel, computed in the reference's float32. */

import type { ImageProcessorConfig } from "../config/types.ts";
import type { Rounding } from "./resample-weights.ts";

type NormaliseConfig = Pick<ImageProcessorConfig, "imageMean" | "imageStd" | "rescaleFactor">;

/**
 * f32 [3, 256]: the normalised value of every byte of every channel.
 *
 * - "torchvision" fuses both: (byte - mean / rescale) / (std / rescale), each step in float32;
 * - "pillow" rounds byte * rescale to float32 first, then takes (x - mean) / std.
 *
 * Source: image_processing_backends.py in transformers, TorchvisionBackend and PilBackend.
 */
export function normaliseTable(config: NormaliseConfig, recipe: Rounding): Float32Array {
  const f = Math.fround;
  const table = new Float32Array(3 * 256);
  for (let channel = 0; channel < 3; channel++) {
    const mean = f(config.imageMean[channel] as number);
    const std = f(config.imageStd[channel] as number);
    const unit = f(1 / config.rescaleFactor);
    const [fusedMean, fusedStd] = [f(mean * unit), f(std * unit)];
    for (let byte = 0; byte < 256; byte++) {
      table[channel * 256 + byte] =
        recipe === "torchvision"
          ? f(byte - fusedMean) / fusedStd
          : f(f(byte * config.rescaleFactor) - mean) / std;
    }
  }
  return table;
}
