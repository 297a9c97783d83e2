/** Runs the vision tower: patches of images or video frames in, one feature row a language token out. */
import type { DeviceRows, DeviceTensor, Engine, Executable, RunOptions } from "../backends/backend.ts";
import type { VisionConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import type { EncoderBudget } from "../mrope/vision-metadata.ts";
import { numMergedTokens } from "../processor/grid.ts";
import type { KeptMedia } from "../prompt/keep-media-rows.ts";
import type { EncoderItem, VisionItem } from "../prompt/vision-items.ts";
import {
  encoderItemSpecs,
  encoderRunSymbols,
  mostPaddedFeatures,
  packEncoderItems,
  prepareEncoderInputs,
} from "./encoder-batch.ts";
import type { EncoderCache } from "./encoder-cache.ts";
import type { FeatureRange, FeatureSlab } from "./feature-slab.ts";
import { type Pruning, pruneVideos } from "./prune-videos.ts";

/** A piece of the work: features to copy, or items to run together, and the rows of the result that it gives. */
interface Piece {
  readonly work:
    | { readonly embeddings: Float32Array }
    | { readonly items: readonly EncoderItem[]; readonly budget: EncoderBudget | null };
  readonly firstRow: number;
  readonly rows: number;
  /** What features of each of its items are kept by; null where they are not kept. */
  readonly keys: readonly string[] | null;
}

/** Items on their way to features. */
export interface Encoding {
  /** Where the features lie, as far as they are computed. The caller releases it, whatever becomes of the rest. */
  readonly range: FeatureRange;
  /** Features that are not computed yet. */
  readonly rowsLeft: number;
  /** One run of the tower, or features that were given. @throws OUT_OF_MEMORY, ABORTED, DISPOSED; it may be called again. */
  next(options?: RunOptions): Promise<void>;
}

export class VisionEncoder {
  /** Sizes that runs are padded to; none: every run is as large as its items. */
  readonly budgets: readonly EncoderBudget[];
  readonly #engine: Engine;
  readonly #program: Executable | null;
  readonly #config: VisionConfig;
  readonly #slab: FeatureSlab;
  readonly #cache: EncoderCache | null;
  /**
   * Where padded runs write, before their own rows are copied out. It holds the largest budget and is kept, so that a
   * run comes back with the same sizes and the same tensors, which a backend may have captured.
   */
  #paddedFeatures: DeviceTensor | null = null;

  /** @param executable null in a model without its tower: features are then taken, but none are computed */
  constructor(
    engine: Engine,
    executable: Executable | null,
    config: VisionConfig,
    slab: FeatureSlab,
    budgets: readonly EncoderBudget[] = [],
    cache: EncoderCache | null = null,
  ) {
    this.#engine = engine;
    this.#program = executable;
    this.#config = config;
    this.#slab = slab;
    this.budgets = budgets;
    this.#cache = cache;
  }

  /** Number of features that an item gives: its language tokens. */
  numFeatures(item: VisionItem): number {
    const { outHiddenSize, spatialMergeSize } = this.#config;
    if ("embeddings" in item) return item.embeddings.length / outHiddenSize;
    return numMergedTokens(item.gridThw, spatialMergeSize);
  }

  /**
   * Features of all items, one after another, in a range of the slab: the sum of numFeatures rows. The caller releases
   * it. @throws OUT_OF_MEMORY, ABORTED, DISPOSED; nothing stays taken then.
   */
  async encode(items: readonly VisionItem[], options: RunOptions = {}): Promise<FeatureRange> {
    const encoding = this.begin(items);
    try {
      while (encoding.rowsLeft > 0) await encoding.next(options);
      return encoding.range;
    } catch (error) {
      encoding.range.release();
      throw error;
    }
  }

  /**
   * The same piece by piece, with other runs of the engine between: takes the memory of all pieces and computes none.
   *
   * @param keys of each item, under which its features are looked for and kept; default: they are computed
   * @throws OUT_OF_MEMORY; nothing stays taken then.
   */
  begin(items: readonly VisionItem[], keys: readonly string[] | null = null): Encoding {
    const pieces = this.#pieces(items, keys);
    const total = pieces.reduce((sum, { rows }) => sum + rows, 0);
    const range = this.#slab.take(total);
    try {
      this.#reserve(pieces);
    } catch (error) {
      range.release();
      throw error;
    }
    let done = 0;
    return {
      range,
      get rowsLeft() {
        return total - (pieces[done]?.firstRow ?? total);
      },
      next: async (options = {}) => {
        await this.#encodePiece(pieces[done] as Piece, range, options);
        done++;
      },
    };
  }

  /** What is read of the media whose features these are, while nothing else uses the engine. @throws ABORTED, DISPOSED */
  prune(range: FeatureRange, pruning: Pruning, signal?: AbortSignal): Promise<KeptMedia> {
    return pruneVideos({ engine: this.#engine, slab: this.#slab, range }, pruning, signal);
  }

  async #encodePiece(piece: Piece, range: FeatureRange, options: RunOptions): Promise<void> {
    const { work, firstRow, rows } = piece;
    const target = range.deviceRows(firstRow, rows);
    if ("embeddings" in work) {
      this.#engine.write(target.tensor, target.firstRow, work.embeddings);
      return;
    }
    const report = (share: number) => options.onProgress?.((firstRow + share * rows) / range.rows);
    // Another request may have encoded them in the meantime.
    if (this.#isKept(piece)) {
      for (const { key, first, rows } of this.#placed(piece))
        this.#cache?.read(key, range.deviceRows(first, rows));
      return;
    }
    await this.#run(work, target, { ...options, onProgress: report });
    for (const { key, first, rows } of this.#placed(piece)) {
      this.#cache?.keep(key, rows, () => range.deviceRows(first, rows));
    }
  }

  #isKept(piece: Piece): boolean {
    return this.#cache?.has(this.#placed(piece).map(({ key }) => key)) ?? false;
  }

  /** Its items that have keys, and their rows. */
  #placed({ work, firstRow, keys }: Piece): { key: string; first: number; rows: number }[] {
    if (!keys || "embeddings" in work) return [];
    let first = firstRow;
    return work.items.map((item, index) => {
      const rows = this.numFeatures(item);
      first += rows;
      return { key: keys[index] as string, first: first - rows, rows };
    });
  }

  /** Frees what it allocated for itself; it may be used again. */
  release(): void {
    if (this.#paddedFeatures) this.#engine.free(this.#paddedFeatures);
    this.#paddedFeatures = null;
  }

  #pieces(items: readonly VisionItem[], keys: readonly string[] | null): Piece[] {
    const pieces: Piece[] = [];
    let firstRow = 0;
    let firstItem = 0;
    for (const stretch of stretches(items)) {
      if ("embeddings" in stretch) {
        const rows = this.numFeatures(stretch);
        pieces.push({ work: stretch, firstRow, rows, keys: null });
        firstRow += rows;
        firstItem++;
        continue;
      }
      const { spatialMergeSize } = this.#config;
      const grids = stretch.map(({ gridThw }) => gridThw);
      const specs = encoderItemSpecs(grids, spatialMergeSize);
      for (const { first, count, budget } of packEncoderItems(specs, this.budgets)) {
        const rows = specs
          .slice(first, first + count)
          .reduce((sum, { outputTokens }) => sum + outputTokens, 0);
        const work = { items: stretch.slice(first, first + count), budget };
        const from = firstItem + first;
        pieces.push({ work, firstRow, rows, keys: keys?.slice(from, from + count) ?? null });
        firstRow += rows;
      }
      firstItem += stretch.length;
    }
    return pieces;
  }

  get #executable(): Executable {
    if (this.#program) return this.#program;
    throw new GlimtError("MODEL_UNSUPPORTED", "This model has no vision tower: it reads no pixels.");
  }

  /** Takes the memory of all runs, so that none is refused when others are done. @throws OUT_OF_MEMORY */
  #reserve(pieces: readonly Piece[]): void {
    for (const { work } of pieces) {
      if ("embeddings" in work) continue;
      const { items, budget } = work;
      if (budget) this.#paddedTensor();
      const grids = items.map(({ gridThw }) => gridThw);
      const symbols = encoderRunSymbols(encoderItemSpecs(grids, this.#config.spatialMergeSize), budget);
      this.#engine.reserve?.(this.#executable, symbols, ["embeddings"]);
    }
  }

  async #run(
    { items, budget }: { readonly items: readonly EncoderItem[]; readonly budget: EncoderBudget | null },
    rows: DeviceRows,
    options: RunOptions,
  ): Promise<void> {
    const { symbols, inputs } = prepareEncoderInputs(items, this.#config, budget ?? undefined);
    const padded = budget && this.#paddedTensor();
    const buffers = { ...inputs, embeddings: padded ?? rows };
    await this.#engine.run(this.#executable, { symbols: { ...symbols }, buffers }, options);
    if (padded) this.#engine.copy(rows.tensor, rows.firstRow, { ...rows, tensor: padded, firstRow: 0 });
  }

  #paddedTensor(): DeviceTensor {
    const { spatialMergeSize, outHiddenSize } = this.#config;
    this.#paddedFeatures ??= this.#engine.allocate(
      this.#engine.backend.activationDType,
      mostPaddedFeatures(this.budgets, spatialMergeSize),
      outHiddenSize,
    );
    return this.#paddedFeatures;
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
