/** rms_norm and its sums, layer_norm: statistics of a row, or of each head in it, in float64. */
import { add } from "./elementwise.ts";
import type { Kernel } from "./kernel.ts";
import { denseLike } from "./matrix-view.ts";

export const rmsNorm: Kernel<"rms_norm"> = ({ x, w }, { y }, { eps }) => {
  const weight = w.toFloat32();
  const size = weight.length;
  const row = new Float32Array(x.cols);
  for (let m = 0; m < x.rows; m++) {
    x.readRow(m, row);
    for (let group = 0; group < x.cols; group += size) {
      let squares = 0;
      for (let i = 0; i < size; i++) squares += (row[group + i] as number) ** 2;
      const scale = 1 / Math.sqrt(squares / size + eps);
      for (let i = 0; i < size; i++)
        row[group + i] = (row[group + i] as number) * scale * (weight[i] as number);
    }
    y.writeRow(m, row);
  }
};

/** By its composition: the norm reads the sum as it was stored. */
export const addRmsNorm: Kernel<"add_rms_norm"> = ({ a, b, w }, { sum, y }, attrs) => {
  add({ a, b }, { y: sum }, {});
  rmsNorm({ x: sum, w }, { y }, attrs);
};

/** By its composition: the inner norm is stored in the activations' type before it is added. */
export const rmsNormAddRmsNorm: Kernel<"rms_norm_add_rms_norm"> = ({ a, b, wb, w }, { sum, y }, attrs) => {
  const normed = denseLike(b);
  rmsNorm({ x: b, w: wb }, { y: normed }, attrs);
  addRmsNorm({ a, b: normed, w }, { sum, y }, attrs);
};

export const layerNorm: Kernel<"layer_norm"> = ({ x, w, b }, { y }, { eps }) => {
  const weight = w.toFloat32();
  const bias = b.toFloat32();
  const size = x.cols;
  const row = new Float32Array(size);
  for (let m = 0; m < x.rows; m++) {
    x.readRow(m, row);
    let total = 0;
    for (const value of row) total += value;
    const mean = total / size;
    let squares = 0;
    for (const value of row) squares += (value - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / size + eps);
    y.writeRow(
      m,
      row.map((value, n) => (value - mean) * scale * (weight[n] as number) + (bias[n] as number)),
    );
  }
};
