/** An operand whose elements an array holds: a kernel may write it too, and read integers. */
import { type HostArray, hostArray, type TensorDType } from "../../tensor/dtype.ts";
import { writeElements } from "../../tensor/elements.ts";
import { elementsOf } from "./elements.ts";
import { RowsView } from "./rows-view.ts";

/**
 * Kernels read whole rows into scratch before they write them, so an output may be the memory of an input of the same
 * shape.
 */
export class MatrixView extends RowsView {
  readonly dtype: TensorDType;
  readonly #data: HostArray;

  constructor(
    dtype: TensorDType,
    data: HostArray,
    rows: number,
    cols: number,
    offset: number,
    rowStride: number,
  ) {
    super(elementsOf(dtype, data), rows, cols, offset, rowStride);
    this.dtype = dtype;
    this.#data = data;
  }

  /** Stores `cols` values from `values[from..]`, rounded to the view's dtype. */
  writeRow(row: number, values: ArrayLike<number>, from = 0): void {
    this.writePart(row, 0, this.cols, values, from);
  }

  writePart(row: number, col: number, count: number, values: ArrayLike<number>, from = 0): void {
    writeElements(this.dtype, values, from, count, this.#data, this.offset + row * this.rowStride + col);
  }

  /** A copy of all elements as they are stored, row by row; not of a view in blocks. */
  read(): HostArray {
    const all = hostArray(this.dtype, this.rows * this.cols);
    for (let row = 0; row < this.rows; row++) {
      const start = this.offset + row * this.rowStride;
      all.set(this.#data.subarray(start, start + this.cols), row * this.cols);
    }
    return all;
  }

  /** Stores what `read` gives. */
  write(all: HostArray): void {
    for (let row = 0; row < this.rows; row++) {
      const values = all.subarray(row * this.cols, (row + 1) * this.cols);
      this.#data.set(values, this.offset + row * this.rowStride);
    }
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
