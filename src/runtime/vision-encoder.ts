/** Runs the vision tower: patches of images or video frames in, one feature row a language token out. */
import type { DeviceTensor, Engine, Executable, RunOptions } from "../backends/backend.ts";
import type { VisionConfig } from "../config/types.ts";
import type { EncoderBudget } from "../mrope/vision-metadata.ts";
import { fromFloat32 } from "../tensor/convert.ts";
import {
  type EncoderItem,
  type EncoderRun,
  encoderItemSpecs,
  packEncoderItems,
  prepareEncoderInputs,
} from "./encoder-batch.ts";

export type VisionItem = EncoderItem;

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
  numFeatures({ gridThw }: Pick<VisionItem, "gridThw">): number {
    return encoderItemSpecs([gridThw], this.#config.spatialMergeSize)[0]?.outputTokens ?? 0;
  }

  /**
   * Features of all items, one after another: [sum of numFeatures, outHiddenSize]; further rows may follow, which
   * padding left. The caller frees the tensor.
   */
  async encode(items: readonly VisionItem[], { signal, onProgress }: RunOptions = {}): Promise<DeviceTensor> {
    const runs = this.#placed(items);
    const total = items.reduce((sum, item) => sum + this.numFeatures(item), 0);
    // A padded run writes its surplus rows where the next one then writes its own.
    const rows = runs.reduce((most, { firstRow, rows }) => Math.max(most, firstRow + rows), 0);
    const tensor = this.#engine.allocate(
      this.#engine.backend.activationDType,
      rows,
      this.#config.outHiddenSize,
    );
    try {
      for (const { run, firstRow, rows } of runs) {
        const end = Math.min(firstRow + rows, total);
        const report = (share: number) => onProgress?.((firstRow + share * (end - firstRow)) / total);
        await this.#run(
          items.slice(run.first, run.first + run.count),
          run.budget,
          { tensor, firstRow, rows },
          { signal, onProgress: report },
        );
      }
      return tensor;
    } catch (error) {
      this.#engine.free(tensor);
      throw error;
    }
  }

  /** The runs with the rows of the result that each writes. */
  #placed(items: readonly VisionItem[]): { run: EncoderRun; firstRow: number; rows: number }[] {
    const { spatialMergeSize } = this.#config;
    const specs = encoderItemSpecs(
      items.map(({ gridThw }) => gridThw),
      spatialMergeSize,
    );
    let firstRow = 0;
    return packEncoderItems(specs, this.budgets).map((run) => {
      const taken = specs.slice(run.first, run.first + run.count);
      const real = taken.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
      const placed = {
        run,
        firstRow,
        rows: run.budget ? run.budget.patches / spatialMergeSize ** 2 : real,
      };
      firstRow += real;
      return placed;
    });
  }

  async #run(
    items: readonly VisionItem[],
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
