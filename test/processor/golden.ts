/** Reads test/golden/data/processor.json (made by test/golden/make_processor.py from Hugging Face transformers). */

import { readFileSync } from "node:fs";
import type { ImageProcessorConfig, ProcessorKind } from "../../src/config/types.ts";
import type { GridThw } from "../../src/processor/grid.ts";
import { crc32 } from "../golden/crc32.ts";

interface ProcessorGolden {
  /** [numFrames, height, width, temporalFactor, factor, minPixels, maxPixels, result or null for an error] */
  readonly smart_resizes: [number, number, number, number, number, number, number, [number, number] | null][];
  /** [[height, width, outHeight, outWidth], checksum of torchvision's bytes, of Pillow's] */
  readonly resizes: [[number, number, number, number], number, number][];
  readonly images: {
    readonly seed: number;
    readonly height: number;
    readonly width: number;
    readonly patchSize: number;
    readonly mergeSize: number;
    readonly gridThw: GridThw;
    readonly torchvision: number;
    readonly pillow: number;
  }[];
  /** [kind, frames, fps, duration, requested fps, number of indices, their checksum, checksum of the prompt text] */
  readonly samples: [ProcessorKind, number, number, number | null, number | null, number, number, number][];
  readonly placeholders: {
    readonly kind: ProcessorKind;
    readonly prompt: string;
    readonly imageGridThw: GridThw[];
    readonly videos: { readonly indices: number[]; readonly fps: number | null; readonly gridThw: GridThw }[];
    readonly expanded: string;
  }[];
  readonly token_types: [number[], number[]][];
  readonly videos: {
    readonly kind: ProcessorKind;
    readonly seed: number;
    readonly frames: number;
    readonly height: number;
    readonly width: number;
    readonly fps: number | null;
    readonly sample: boolean;
    readonly indices: number[];
    readonly gridThw: GridThw;
    readonly pixelValues: number;
  }[];
}

export const golden: ProcessorGolden = JSON.parse(
  readFileSync(`${process.cwd()}/test/golden/data/processor.json`, "utf8"),
);

/** The processor settings of the golden pictures. */
export function processorConfig(patchSize = 14, mergeSize = 2): ImageProcessorConfig {
  return {
    patchSize,
    mergeSize,
    temporalPatchSize: 2,
    minPixels: 12544,
    maxPixels: 401408,
    imageMean: [0.48145466, 0.4578275, 0.40821073],
    imageStd: [0.26862954, 0.26130258, 0.27577711],
    rescaleFactor: 1 / 255,
  };
}

export function checksum(values: Float32Array | Int32Array | Uint8Array): number {
  return crc32(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}
