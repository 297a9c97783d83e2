/** rms_norm and layer_norm: statistics of a row, or of each head in it, in float64. */
import type { Kernel, Kernels } from "./kernel.ts";

const rmsNorm: Kernel<"rms_norm"> = ({ x, w }, { y }, { eps }) => {
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

const layerNorm: Kernel<"layer_norm"> = ({ x, w, b }, { y }, { eps }) => {
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

export const normKernels = {
  rms_norm: rmsNorm,
  layer_norm: layerNorm,
} satisfies Kernels;
