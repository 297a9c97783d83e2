/** The learned position table sampled bicubically, as torch's grid_sample(bicubic, border) does. */
import type { Kernel, Kernels } from "./kernel.ts";

const A = -0.75;

const positionEmbedBicubic: Kernel<"position_embed_bicubic"> = ({ table, coords }, { y }, { side }) => {
  const cell = new Float32Array(table.cols);
  const coord = new Float32Array(2);
  const clamp = (index: number) => Math.min(Math.max(index, 0), side - 1);
  for (let p = 0; p < coords.rows; p++) {
    coords.readRow(p, coord);
    const [cx, cy] = coord as unknown as [number, number];
    const [left, top] = [Math.floor(cx), Math.floor(cy)];
    const xTaps = cubicTaps(cx - left);
    const yTaps = cubicTaps(cy - top);
    const sum = new Float64Array(table.cols);
    yTaps.forEach((yWeight, j) => {
      xTaps.forEach((xWeight, i) => {
        // Only the tap's index is clamped to the border, never the coordinate.
        table.readRow(clamp(top - 1 + j) * side + clamp(left - 1 + i), cell);
        const weight = xWeight * yWeight;
        for (let c = 0; c < cell.length; c++) sum[c] = (sum[c] as number) + weight * (cell[c] as number);
      });
    });
    y.writeRow(p, sum);
  }
};

/** Cubic convolution weights of the four cells around a point that lies `t` (0..1) after the second. */
function cubicTaps(t: number): readonly [number, number, number, number] {
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}

/** Keys' kernel for distances up to 1. */
function near(d: number): number {
  return (A + 2) * d ** 3 - (A + 3) * d ** 2 + 1;
}

/** Keys' kernel for distances from 1 to 2. */
function far(d: number): number {
  return A * d ** 3 - 5 * A * d ** 2 + 8 * A * d - 4 * A;
}

export const positionEmbedKernels = {
  position_embed_bicubic: positionEmbedBicubic,
} satisfies Kernels;
