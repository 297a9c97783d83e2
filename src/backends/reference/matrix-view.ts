/** What an instruction's operand is: a rectangle of some memory, read and written by rows. */
import { narrow, widen } from "../../tensor/convert.ts";
import type { DType, HostArray } from "../../tensor/dtype.ts";

/**
 * Element (r, c) is data[offset + r * rowStride + c]. Kernels read whole rows into scratch before they write
 * them, so an output may be the memory of an input of the same shape.
 */
export class MatrixView {
  readonly dtype: DType;
  readonly data: HostArray;
  readonly rows: number;
  readonly cols: number;
  readonly offset: number;
  readonly rowStride: number;

  constructor(dtype: DType, data: HostArray, rows: number, cols: number, offset = 0, rowStride = cols) {
    this.dtype = dtype;
    this.data = data;
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
    widen(this.dtype, this.data, this.offset + row * this.rowStride + col, count, into, at);
  }

  /** Stores `cols` values from `values[from..]`, rounded to the view's dtype. */
  writeRow(row: number, values: ArrayLike<number>, from = 0): void {
    this.writePart(row, 0, this.cols, values, from);
  }

  writePart(row: number, col: number, count: number, values: ArrayLike<number>, from = 0): void {
    narrow(this.dtype, values, from, count, this.data, this.offset + row * this.rowStride + col);
  }

  /** All elements as contiguous float32 rows: a copy. Of a vector, its elements. */
  toFloat32(): Float32Array {
    const all = new Float32Array(this.rows * this.cols);
    if (this.rowStride === this.cols) widen(this.dtype, this.data, this.offset, all.length, all, 0);
    else for (let row = 0; row < this.rows; row++) this.readRow(row, all, row * this.cols);
    return all;
  }

  /** All elements of an i32 view. */
  toInt32(): Int32Array {
    const all = new Int32Array(this.rows * this.cols);
    for (let row = 0; row < this.rows; row++) {
      const start = this.offset + row * this.rowStride;
      all.set(this.data.subarray(start, start + this.cols), row * this.cols);
    }
    return all;
  }
}
