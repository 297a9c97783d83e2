/** An operand whose elements an array holds: a kernel may write it too, and read integers. */
import { narrow } from "../../tensor/convert.ts";
import type { DType, HostArray } from "../../tensor/dtype.ts";
import { elementsOf } from "./elements.ts";
import { RowsView } from "./rows-view.ts";

/**
 * Kernels read whole rows into scratch before they write them, so an output may be the memory of an input of the same
 * shape.
 */
export class MatrixView extends RowsView {
  readonly #dtype: DType;
  readonly #data: HostArray;

  constructor(dtype: DType, data: HostArray, rows: number, cols: number, offset: number, rowStride: number) {
    super({ read: elementsOf(dtype, data) }, rows, cols, offset, rowStride);
    this.#dtype = dtype;
    this.#data = data;
  }

  /** Stores `cols` values from `values[from..]`, rounded to the view's dtype. */
  writeRow(row: number, values: ArrayLike<number>, from = 0): void {
    this.writePart(row, 0, this.cols, values, from);
  }

  writePart(row: number, col: number, count: number, values: ArrayLike<number>, from = 0): void {
    narrow(this.#dtype, values, from, count, this.#data, this.offset + row * this.rowStride + col);
  }

  /** All elements of an i32 view. */
  toInt32(): Int32Array {
    const all = new Int32Array(this.rows * this.cols);
    for (let row = 0; row < this.rows; row++) {
      const start = this.offset + row * this.rowStride;
      all.set(this.#data.subarray(start, start + this.cols), row * this.cols);
    }
    return all;
  }
}
