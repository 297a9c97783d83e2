/** Runs the vision tower: patches of images or video frames in, one feature row a language token out. */
import type { DeviceTensor, Engine, Executable, RunOptions } from "../backends/backend.ts";
import type { VisionConfig } from "../config/types.ts";
import type { EncoderBudget } from "../mrope/vision-metadata.ts";
import { numMergedTokens } from "../processor/grid.ts";
import { fromFloat32 } from "../tensor/convert.ts";
import {
  type EncoderItem,
  encoderItemSpecs,
  packEncoderItems,
  prepareEncoderInputs,
  type VisionItem,
} from "./encoder-batch.ts";

/** A piece of the work: features to copy, or items to run together, and the rows of the result that it writes. */
interface Piece {
  readonly work:
    | { readonly embeddings: Float32Array }
    | { readonly items: readonly EncoderItem[]; readonly budget: EncoderBudget | null };
  readonly firstRow: number;
  /** With those that padding gives; the next piece overwrites them. */
  readonly rows: number;
}

export class VisionEncoder {
  /** Sizes that runs are padded to; none: every run is as large as its items. */
  readonly budgets: readonly EncoderBudget[];
  readonly #engine: Engine;
  readonly #executable: Executable;
  readonly #config: VisionConfig;

  constructor(
    engine: Engine,
    executable: Executable,
    config: VisionConfig,
    budgets: readonly EncoderBudget[] = [],
  ) {
    this.#engine = engine;
    this.#executable = executable;
    this.#config = config;
    this.budgets = budgets;
  }

  /** Number of features that an item gives: its language tokens. */
  numFeatures(item: VisionItem): number {
    const { outHiddenSize, spatialMergeSize } = this.#config;
    if ("embeddings" in item) return item.embeddings.length / outHiddenSize;
    return numMergedTokens(item.gridThw, spatialMergeSize);
  }

  /**
   * Features of all items, one after another: [sum of numFeatures, outHiddenSize]; further rows may follow, which
   * padding left. The caller frees the tensor.
   */
  async encode(items: readonly VisionItem[], { signal, onProgress }: RunOptions = {}): Promise<DeviceTensor> {
    const { backend } = this.#engine;
    const pieces = this.#pieces(items);
    const total = items.reduce((sum, item) => sum + this.numFeatures(item), 0);
    const rows = pieces.reduce((most, { firstRow, rows }) => Math.max(most, firstRow + rows), 0);
    const tensor = this.#engine.allocate(backend.activationDType, rows, this.#config.outHiddenSize);
    try {
      for (const { work, firstRow, rows } of pieces) {
        if ("embeddings" in work) {
          this.#engine.write(tensor, firstRow, fromFloat32(backend.activationDType, work.embeddings));
          continue;
        }
        const end = Math.min(firstRow + rows, total);
        const report = (share: number) => onProgress?.((firstRow + share * (end - firstRow)) / total);
        const embeddings = { tensor, firstRow, rows };
        await this.#run(work.items, work.budget, embeddings, { signal, onProgress: report });
      }
      return tensor;
    } catch (error) {
      this.#engine.free(tensor);
      throw error;
    }
  }

  #pieces(items: readonly VisionItem[]): Piece[] {
    const pieces: Piece[] = [];
    let firstRow = 0;
    for (const stretch of stretches(items)) {
      if ("embeddings" in stretch) {
        const rows = this.numFeatures(stretch);
        pieces.push({ work: stretch, firstRow, rows });
        firstRow += rows;
        continue;
      }
      const { spatialMergeSize } = this.#config;
      const grids = stretch.map(({ gridThw }) => gridThw);
      const specs = encoderItemSpecs(grids, spatialMergeSize);
      for (const { first, count, budget } of packEncoderItems(specs, this.budgets)) {
        const real = specs
          .slice(first, first + count)
          .reduce((sum, { outputTokens }) => sum + outputTokens, 0);
        const rows = budget ? budget.patches / spatialMergeSize ** 2 : real;
        pieces.push({ work: { items: stretch.slice(first, first + count), budget }, firstRow, rows });
        firstRow += real;
      }
    }
    return pieces;
  }

  async #run(
    items: readonly EncoderItem[],
    budget: EncoderBudget | null,
    embeddings: { tensor: DeviceTensor; firstRow: number; rows: number },
    options: RunOptions,
  ): Promise<void> {
    const { symbols, inputs } = prepareEncoderInputs(items, this.#config, budget ?? undefined);
    const pixelValues = fromFloat32(this.#engine.backend.activationDType, inputs.pixelValues);
    const bindings = { symbols: { ...symbols }, buffers: { ...inputs, pixelValues, embeddings } };
    await this.#engine.run(this.#executable, bindings, options);
  }
}

/** Neighbouring items of pixels, which may run together, and the items of features between them. */
function stretches(items: readonly VisionItem[]): (EncoderItem[] | { embeddings: Float32Array })[] {
  const found: (EncoderItem[] | { embeddings: Float32Array })[] = [];
  for (const item of items) {
    const last = found.at(-1);
    if ("embeddings" in item) found.push(item);
    else if (Array.isArray(last)) last.push(item);
    else found.push([item]);
  }
  return found;
}
