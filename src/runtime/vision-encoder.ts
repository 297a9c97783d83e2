/** Runs the vision tower: patches of images or video frames in, one feature row a language token out. */
import type {
  DeviceRows,
  DeviceTensor,
  Engine,
  Executable,
  RunBindings,
  RunOptions,
} from "../backends/backend.ts";
import type { VisionConfig } from "../config/types.ts";
import { GlimtError } from "../errors.ts";
import type { EncoderBudget } from "../mrope/vision-metadata.ts";
import { numMergedTokens, numPatches } from "../processor/grid.ts";
import type { KeptMedia } from "../prompt/keep-media-rows.ts";
import type { EncoderItem, VisionItem } from "../prompt/vision-items.ts";
import {
  encoderItemSpecs,
  encoderRunSymbols,
  mostPaddedFeatures,
  packEncoderItems,
  prepareEncoderInputs,
} from "./encoder-batch.ts";
import type { CachedMedia, EncoderCache } from "./encoder-cache.ts";
import { dealByLoad } from "./encoder-shares.ts";
import type { FeatureRange, FeatureSlab } from "./feature-slab.ts";
import { KeptTensor } from "./kept-tensor.ts";
import { type Pruning, pruneVideos } from "./prune-videos.ts";

/** A picture or video on its way through the tower. */
interface Placed {
  readonly item: EncoderItem;
  /** Of the result: where its features go. */
  readonly firstRow: number;
  readonly rows: number;
  /** What its features are kept by; null where they are not kept. */
  readonly cached: CachedMedia | null;
}

/** Items that run together. */
interface Batch {
  readonly items: readonly Placed[];
  readonly budget: EncoderBudget | null;
}

/**
 * A piece of the work: features to copy, items whose features follow one another, to run together, or such batches of which
 * each rank of a group runs one by itself.
 */
type Work =
  | { readonly embeddings: Float32Array; readonly firstRow: number }
  | { readonly batch: Batch }
  | { readonly batches: readonly (Batch & { readonly rank: number })[] };

interface Piece {
  readonly work: Work;
  /** Of the result, that it gives. */
  readonly rows: number;
}

export interface EncodeOptions extends RunOptions {
  /**
   * Where the tower may run beside other programs (`VisionEncoder.runsBeside`): waited for when it has run. From then on nothing
   * else uses the engine. Default: nothing does at any time.
   */
  readonly untilAlone?: (() => Promise<void>) | undefined;
}

/** Items on their way to features. */
export interface Encoding {
  /** Where the features lie, as far as they are computed. The caller releases it, whatever becomes of the rest. */
  readonly range: FeatureRange;
  /** Features that are not computed yet. */
  readonly rowsLeft: number;
  /** One run of the tower, or features that were given. @throws OUT_OF_MEMORY, ABORTED, DISPOSED; it may be called again. */
  next(options?: EncodeOptions): Promise<void>;
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
  /** Where the ranks of a group write, each its own. */
  readonly #ownFeatures: KeptTensor;
  #isRunning = false;

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
    this.#ownFeatures = new KeptTensor(engine, config.outHiddenSize, "embeddings");
  }

  /** Whether its runs may be under way beside those of the decoder: they are on devices of its own. */
  get runsBeside(): boolean {
    return this.#isApart && this.#engine.sideBySide?.runsBeside === true;
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
    let rowsDone = 0;
    return {
      range,
      get rowsLeft() {
        return total - rowsDone;
      },
      next: async (options = {}) => {
        const piece = pieces[done] as Piece;
        const onProgress = (share: number) =>
          options.onProgress?.((rowsDone + share * piece.rows) / range.rows);
        await this.#encodePiece(piece, range, { ...options, onProgress });
        rowsDone += piece.rows;
        done++;
      },
    };
  }

  /** What is kept of other sizes or times under the keys of these items goes, whether they are encoded or not. */
  forgetOthers(items: readonly VisionItem[], keys: readonly string[] | null): void {
    for (const [index, { gridThw, labels }] of items.entries()) {
      const key = keys?.[index];
      if (key !== undefined && gridThw) this.#cache?.forgetOther({ key, gridThw, labels });
    }
  }

  /** What is read of the media whose features these are, while nothing else uses the engine. @throws ABORTED, DISPOSED */
  prune(range: FeatureRange, pruning: Pruning, signal?: AbortSignal): Promise<KeptMedia> {
    return pruneVideos({ engine: this.#engine, slab: this.#slab, range }, pruning, signal);
  }

  async #encodePiece(
    { work }: Piece,
    range: FeatureRange,
    { untilAlone, ...options }: EncodeOptions,
  ): Promise<void> {
    if ("embeddings" in work) {
      await untilAlone?.();
      const { tensor, firstRow } = range.deviceRows(work.firstRow, 0);
      this.#engine.write(tensor, firstRow, work.embeddings);
      return;
    }
    const items = "batch" in work ? work.batch.items : work.batches.flatMap((batch) => batch.items);
    const wanted = items.flatMap(({ cached }) => cached ?? []);
    // Another request may have encoded them in the meantime.
    if (wanted.length === items.length && this.#cache?.has(wanted)) {
      await untilAlone?.();
      for (const { cached, firstRow, rows } of items)
        this.#cache.read(cached as CachedMedia, range.deviceRows(firstRow, rows));
      return;
    }
    if ("batch" in work) await this.#run(work.batch, range, options);
    else await this.#runSideBySide(work.batches, range, options, untilAlone);
    for (const { cached, firstRow, rows } of items) {
      if (cached) this.#cache?.keep(cached, rows, () => range.deviceRows(firstRow, rows));
    }
  }

  /** Frees what it allocated for itself, but not what a run writes to; it may be used again. */
  release(): void {
    if (this.#isRunning) return;
    if (this.#paddedFeatures) this.#engine.free(this.#paddedFeatures);
    this.#paddedFeatures = null;
    this.#ownFeatures.release();
  }

  #pieces(items: readonly VisionItem[], keys: readonly string[] | null): Piece[] {
    const pieces: Piece[] = [];
    let stretch: Placed[] = [];
    const endStretch = () => {
      if (stretch.length > 0) pieces.push(...this.#stretchPieces(stretch));
      stretch = [];
    };
    let firstRow = 0;
    for (const [index, item] of items.entries()) {
      const rows = this.numFeatures(item);
      if ("embeddings" in item) {
        endStretch();
        pieces.push({ work: { embeddings: item.embeddings, firstRow }, rows });
      } else {
        const key = keys?.[index];
        const { gridThw, labels } = item;
        stretch.push({ item, firstRow, rows, cached: key === undefined ? null : { key, gridThw, labels } });
      }
      firstRow += rows;
    }
    endStretch();
    return pieces;
  }

  /** Of neighbouring items of pixels, which may run together. */
  #stretchPieces(items: readonly Placed[]): Piece[] {
    const ranks = this.#ranks;
    if (ranks.length < 2 && !this.#isApart)
      return this.#batches(items).map((batch) => ({ work: { batch }, rows: rowsOf(batch) }));
    const sizes = items.map(({ item }) => numPatches(item.gridThw));
    const shares = dealByLoad(sizes, ranks.length).map((share) =>
      // As they follow one another, so that batches are those of the items alone.
      this.#batches(share.sort((a, b) => a - b).map((index) => items[index] as Placed)),
    );
    const rounds = Math.max(...shares.map(({ length }) => length));
    return Array.from({ length: rounds }, (_, round) => {
      const batches = shares.flatMap((share, place) => {
        const batch = share[round];
        return batch ? [{ ...batch, rank: ranks[place] as number }] : [];
      });
      return { work: { batches }, rows: batches.reduce((sum, batch) => sum + rowsOf(batch), 0) };
    });
  }

  #batches(items: readonly Placed[]): Batch[] {
    const grids = items.map(({ item }) => item.gridThw);
    const specs = encoderItemSpecs(grids, this.#config.spatialMergeSize);
    return packEncoderItems(specs, this.budgets).map(({ first, count, budget }) => ({
      items: items.slice(first, first + count),
      budget,
    }));
  }

  /** The ranks of a group that have the whole tower each; none where all run it together. */
  get #ranks(): readonly number[] {
    const { sideBySide } = this.#engine;
    return (this.#program && sideBySide?.ranksOf(this.#program)) ?? [];
  }

  /** Whether these ranks have nothing else. */
  get #isApart(): boolean {
    return (this.#program && this.#engine.sideBySide?.isApart(this.#program)) ?? false;
  }

  get #executable(): Executable {
    if (this.#program) return this.#program;
    throw new GlimtError("MODEL_UNSUPPORTED", "This model has no vision tower: it reads no pixels.");
  }

  /** Takes the memory of all runs, so that none is refused when others are done. @throws OUT_OF_MEMORY */
  #reserve(pieces: readonly Piece[]): void {
    for (const { work } of pieces) {
      if ("embeddings" in work) continue;
      if ("batches" in work) this.#ownFeatures.ofRows(mostRows(work.batches, this.#config));
      for (const { items, budget } of "batch" in work ? [work.batch] : work.batches) {
        if (budget && "batch" in work) this.#paddedTensor();
        const grids = items.map(({ item }) => item.gridThw);
        const symbols = encoderRunSymbols(encoderItemSpecs(grids, this.#config.spatialMergeSize), budget);
        this.#engine.reserve?.(this.#executable, symbols, ["embeddings"]);
      }
    }
  }

  async #run(batch: Batch, range: FeatureRange, options: RunOptions): Promise<void> {
    const rows = range.deviceRows(batch.items[0]?.firstRow, rowsOf(batch));
    const padded = batch.budget && this.#paddedTensor();
    await this.#engine.run(this.#executable, this.#bindings(batch, padded ?? rows), options);
    if (padded) this.#engine.copy(rows.tensor, rows.firstRow, { ...rows, tensor: padded, firstRow: 0 });
  }

  async #runSideBySide(
    batches: readonly (Batch & { readonly rank: number })[],
    range: FeatureRange,
    options: RunOptions,
    untilAlone: EncodeOptions["untilAlone"],
  ): Promise<void> {
    const { sideBySide } = this.#engine;
    const own = this.#ownFeatures.ofRows(mostRows(batches, this.#config));
    const bindings = new Map(batches.map((batch) => [batch.rank, this.#bindings(batch, own)]));
    this.#isRunning = true;
    try {
      await sideBySide?.run(this.#executable, bindings, options);
      await untilAlone?.();
    } finally {
      this.#isRunning = false;
    }
    for (const { rank, items } of batches) {
      let from = 0;
      for (const { firstRow, rows } of items) {
        const to = range.deviceRows(firstRow, rows);
        await sideBySide?.spread(to.tensor, to.firstRow, { tensor: own, firstRow: from, rows }, rank);
        from += rows;
      }
    }
  }

  #bindings({ items, budget }: Batch, embeddings: DeviceTensor | DeviceRows): RunBindings {
    const { symbols, inputs } = prepareEncoderInputs(
      items.map(({ item }) => item),
      this.#config,
      budget ?? undefined,
    );
    return { symbols: { ...symbols }, buffers: { ...inputs, embeddings } };
  }

  #paddedTensor(): DeviceTensor {
    const { spatialMergeSize, outHiddenSize } = this.#config;
    this.#paddedFeatures ??= this.#engine.allocate(
      this.#engine.backend.activationDType,
      mostPaddedFeatures(this.budgets, spatialMergeSize),
      outHiddenSize,
      "embeddings",
    );
    return this.#paddedFeatures;
  }
}

function rowsOf({ items }: Batch): number {
  return items.reduce((sum, { rows }) => sum + rows, 0);
}

/** That any of the batches gives, with those of its padding. */
function mostRows(batches: readonly Batch[], { spatialMergeSize }: VisionConfig): number {
  return Math.max(
    ...batches.map((batch) => (batch.budget ? batch.budget.patches / spatialMergeSize ** 2 : rowsOf(batch))),
  );
}
