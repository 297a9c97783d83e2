/**
 * Vision features of all requests in one device tensor, [rows, hiddenSize]. A request takes a range of rows for its
 * pictures and gives it back; a step of the decoder gathers from any rows by index. Ranges never move: where no gap is
 * wide enough the slab grows at its end, copied on the device. When the last range is given back it is freed.
 */
import type { DeviceRows, DeviceTensor, Engine } from "../backends/backend.ts";
import type { DType } from "../tensor/dtype.ts";

/** Rows [firstRow, firstRow + rows) of the slab, until they are given back. */
export interface FeatureRange {
  readonly firstRow: number;
  readonly rows: number;
  /** `count` of its rows from `first` on, where they lie now: taking another range may move the slab's memory. */
  deviceRows(first?: number, count?: number): DeviceRows;
  /** Gives the rows back; once. */
  release(): void;
}

/** The name that programs bind it by. */
const SLAB = "features";

export class FeatureSlab {
  readonly dtype: DType;
  readonly cols: number;
  /** What steps without features bind in place of the slab: no rows, and the same tensor however the slab changes. */
  readonly nothing: DeviceTensor;
  readonly #engine: Engine;
  /** Ascending by first row. */
  readonly #taken: FeatureRange[] = [];
  #tensor: DeviceTensor | null = null;

  constructor(engine: Engine, dtype: DType, cols: number) {
    this.#engine = engine;
    this.dtype = dtype;
    this.cols = cols;
    this.nothing = engine.allocate(dtype, 0, cols, SLAB);
  }

  /** All rows; `nothing` while none is taken. */
  get tensor(): DeviceTensor {
    return this.#tensor ?? this.nothing;
  }

  /** Takes `rows` neighbouring rows; what they hold is left from before. @throws OUT_OF_MEMORY, taking none. */
  take(rows: number): FeatureRange {
    const { firstRow, index } = this.#gap(rows);
    if (firstRow + rows > this.tensor.rows) this.#grow(firstRow + rows);
    const range: FeatureRange = {
      firstRow,
      rows,
      deviceRows: (first = 0, count = rows - first) => ({
        tensor: this.tensor,
        firstRow: firstRow + first,
        rows: count,
      }),
      release: () => this.#giveBack(range),
    };
    this.#taken.splice(index, 0, range);
    return range;
  }

  /** Where the first gap of `rows` rows begins, at the latest behind the last range, and how many ranges lie before. */
  #gap(rows: number): { readonly firstRow: number; readonly index: number } {
    let end = 0;
    for (const [index, range] of this.#taken.entries()) {
      if (range.firstRow - end >= rows) return { firstRow: end, index };
      end = range.firstRow + range.rows;
    }
    return { firstRow: end, index: this.#taken.length };
  }

  #grow(rows: number): void {
    const old = this.#tensor;
    const grown = this.#engine.allocate(this.dtype, rows, this.cols, SLAB);
    if (old) {
      this.#engine.copy(grown, 0, { tensor: old, firstRow: 0, rows: old.rows });
      this.#engine.free(old);
    }
    this.#tensor = grown;
  }

  #giveBack(range: FeatureRange): void {
    const index = this.#taken.indexOf(range);
    if (index < 0) return;
    this.#taken.splice(index, 1);
    if (this.#taken.length > 0 || !this.#tensor) return;
    this.#engine.free(this.#tensor);
    this.#tensor = null;
  }
}
