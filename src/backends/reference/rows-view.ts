/** What an instruction's operand is to a kernel that only reads it: a rectangle of some memory, by rows. */
import type { BlockParts } from "../../tensor/block-parts.ts";
import type { BlockFormat } from "../../tensor/storage.ts";
import type { WeightElements } from "./elements.ts";

/** Element (r, c) of the view is element offset + r * rowStride + c of the memory. */
export class RowsView {
  readonly rows: number;
  readonly cols: number;
  readonly offset: number;
  readonly rowStride: number;
  readonly #elements: WeightElements;

  constructor(elements: WeightElements, rows: number, cols: number, offset: number, rowStride: number) {
    this.#elements = elements;
    this.rows = rows;
    this.cols = cols;
    this.offset = offset;
    this.rowStride = rowStride;
  }

  /** Copies a row, widened to float32, to `into[at..at + cols]`. */
  readRow(row: number, into: Float32Array, at = 0): void {
    this.readPart(row, 0, this.cols, into, at);
  }

  /** Copies columns [col, col + count) of a row. */
  readPart(row: number, col: number, count: number, into: Float32Array, at = 0): void {
    this.#elements.read(this.offset + row * this.rowStride + col, count, into, at);
  }

  /** Of its elements, where they are in blocks. */
  get blockFormat(): BlockFormat | undefined {
    return this.#elements.blocks?.format;
  }

  /** The blocks of a row of such a view: as many integers as it has columns, with scales and minima. */
  readBlocks(row: number, parts: BlockParts): void {
    this.readBlocksPart(row, 0, this.cols, parts);
  }

  /** Columns [col, col + count) of such a row, which are whole blocks. */
  readBlocksPart(row: number, col: number, count: number, parts: BlockParts): void {
    this.#elements.blocks?.read(this.offset + row * this.rowStride + col, count, parts);
  }

  /** All elements as contiguous float32 rows: a copy. Of a vector, its elements. */
  toFloat32(): Float32Array {
    const all = new Float32Array(this.rows * this.cols);
    if (this.rowStride === this.cols) this.#elements.read(this.offset, all.length, all, 0);
    else for (let row = 0; row < this.rows; row++) this.readRow(row, all, row * this.cols);
    return all;
  }
}
