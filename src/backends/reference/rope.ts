/** Rotary embedding: the first rotaryDim columns of each head are rotated in pairs, the rest passes through. */
import type { Kernel, Kernels } from "./kernel.ts";

const rope: Kernel<"rope"> = ({ x, cos, sin }, { y }, { numHeads, headDim, rotaryDim, pairs }) => {
  const half = rotaryDim / 2;
  const row = new Float32Array(x.cols);
  const cosRow = new Float32Array(half);
  const sinRow = new Float32Array(half);
  for (let m = 0; m < x.rows; m++) {
    x.readRow(m, row);
    cos.readRow(m, cosRow);
    sin.readRow(m, sinRow);
    for (let head = 0; head < numHeads; head++) {
      for (let i = 0; i < half; i++) {
        const first = head * headDim + (pairs === "interleaved" ? 2 * i : i);
        const second = first + (pairs === "interleaved" ? 1 : half);
        const a = row[first] as number;
        const b = row[second] as number;
        const c = cosRow[i] as number;
        const s = sinRow[i] as number;
        row[first] = a * c - b * s;
        row[second] = b * c + a * s;
      }
    }
    y.writeRow(m, row);
  }
};

export const ropeKernels = {
  rope,
} satisfies Kernels;
