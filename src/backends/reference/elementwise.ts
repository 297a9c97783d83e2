/** add, add_bias, swiglu, gelu: each output element from the input elements at its place. */
import type { Kernel, Kernels } from "./kernel.ts";
import type { MatrixView } from "./matrix-view.ts";

const add: Kernel<"add"> = ({ a, b }, { y }) => combine(a, b, y, (left, right) => left + right);

const swiglu: Kernel<"swiglu"> = ({ gate, up }, { y }) => combine(gate, up, y, gated);

const addBias: Kernel<"add_bias"> = ({ x, bias }, { y }) => {
  const b = bias.toFloat32();
  const row = new Float32Array(x.cols);
  for (let m = 0; m < x.rows; m++) {
    x.readRow(m, row);
    y.writeRow(
      m,
      row.map((value, n) => value + (b[n] as number)),
    );
  }
};

const gelu: Kernel<"gelu"> = ({ x }, { y }) => {
  const row = new Float32Array(x.cols);
  for (let m = 0; m < x.rows; m++) {
    x.readRow(m, row);
    y.writeRow(
      m,
      row.map((value) => (value / 2) * (1 + erf(value / Math.SQRT2))),
    );
  }
};

/** gate * sigmoid(gate) * up */
export function gated(gate: number, up: number): number {
  return (gate / (1 + Math.exp(-gate))) * up;
}

/** erf(x) = 2/√π e^(-x²) Σ 2ⁿ x^(2n+1) / (2n+1)!!, whose terms all have one sign, so that nothing cancels. */
export function erf(x: number): number {
  // 1 - erf(6) is below the resolution of a float64.
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

function combine(
  a: MatrixView,
  b: MatrixView,
  y: MatrixView,
  formula: (left: number, right: number) => number,
): void {
  const left = new Float32Array(a.cols);
  const right = new Float32Array(a.cols);
  for (let m = 0; m < a.rows; m++) {
    a.readRow(m, left);
    b.readRow(m, right);
    y.writeRow(
      m,
      left.map((value, n) => formula(value, right[n] as number)),
    );
  }
}

export const elementwiseKernels = {
  add,
  add_bias: addBias,
  swiglu,
  gelu,
} satisfies Kernels;
