/** Runs the vision tower: patches of images or video frames in, one feature row a language token out. */
import type { DeviceTensor, Engine, Executable, RunOptions } from "../backends/backend.ts";
import type { VisionConfig } from "../config/types.ts";
import { visionRotaryTable } from "../mrope/rotary.ts";
import { positionTableCoords, visionCuSeqlens } from "../mrope/vision-metadata.ts";
import { type GridThw, numMergedTokens, numPatches } from "../processor/grid.ts";
import { fromFloat32 } from "../tensor/convert.ts";

/** Patches of one image or video, [t*h*w, channels * temporal * patch²], in merge-block order. */
export interface VisionItem {
  readonly pixelValues: Float32Array;
  readonly gridThw: GridThw;
}

/** Items are run together up to this many patches: small pictures share the cost of reading the weights. */
const MAX_PATCHES_A_RUN = 4096;

export class VisionEncoder {
  readonly #engine: Engine;
  readonly #executable: Executable;
  readonly #config: VisionConfig;

  constructor(engine: Engine, executable: Executable, config: VisionConfig) {
    this.#engine = engine;
    this.#executable = executable;
    this.#config = config;
  }

  /** Number of features that an item gives: its language tokens. */
  numFeatures({ gridThw }: Pick<VisionItem, "gridThw">): number {
    return numMergedTokens(gridThw, this.#config.spatialMergeSize);
  }

  /** Features of all items, one after another: [sum of numFeatures, outHiddenSize]. The caller frees the tensor. */
  async encode(items: readonly VisionItem[], { signal, onProgress }: RunOptions = {}): Promise<DeviceTensor> {
    const total = items.reduce((sum, item) => sum + this.numFeatures(item), 0);
    const { activationDType } = this.#engine.backend;
    const features = this.#engine.allocate(activationDType, total, this.#config.outHiddenSize);
    try {
      let firstRow = 0;
      for (const group of grouped(items)) {
        const rows = group.reduce((sum, item) => sum + this.numFeatures(item), 0);
        const done = firstRow;
        await this.#run(
          group,
          { tensor: features, firstRow, rows },
          {
            signal,
            onProgress: (share) => onProgress?.((done + share * rows) / total),
          },
        );
        firstRow += rows;
      }
      return features;
    } catch (error) {
      this.#engine.free(features);
      throw error;
    }
  }

  async #run(
    items: readonly VisionItem[],
    embeddings: { tensor: DeviceTensor; firstRow: number; rows: number },
    options: RunOptions,
  ): Promise<void> {
    const { spatialMergeSize, headDim, ropeTheta: theta, positionTableSide } = this.#config;
    const grids = items.map(({ gridThw }) => gridThw);
    const cuSeqlens = visionCuSeqlens(grids);
    const pixels = fromFloat32(this.#engine.backend.activationDType, concatenated(items));
    const symbols = {
      patches: grids.reduce((sum, grid) => sum + numPatches(grid), 0),
      frames: cuSeqlens.length - 1,
    };
    const buffers = {
      pixelValues: pixels,
      ...visionRotaryTable(grids, { spatialMergeSize, headDim, theta }),
      cuSeqlens,
      ...(positionTableSide === null
        ? {}
        : { positionCoords: positionTableCoords(grids, positionTableSide, spatialMergeSize) }),
      embeddings,
    };
    await this.#engine.run(this.#executable, { symbols, buffers }, options);
  }
}

function grouped(items: readonly VisionItem[]): VisionItem[][] {
  const groups: VisionItem[][] = [];
  let patches = 0;
  for (const item of items) {
    const size = numPatches(item.gridThw);
    const last = groups.at(-1);
    if (last && patches + size <= MAX_PATCHES_A_RUN) {
      last.push(item);
      patches += size;
    } else {
      groups.push([item]);
      patches = size;
    }
  }
  return groups;
}

function concatenated(items: readonly VisionItem[]): Float32Array {
  const [only] = items;
  if (items.length === 1 && only) return only.pixelValues;
  const all = new Float32Array(items.reduce((sum, { pixelValues }) => sum + pixelValues.length, 0));
  let offset = 0;
  for (const { pixelValues } of items) {
    all.set(pixelValues, offset);
    offset += pixelValues.length;
  }
  return all;
}
