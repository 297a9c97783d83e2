/** A linear of given sizes, checked against a naive product before it is timed. */
import { fromFloat32, toFloat32 } from "../src/tensor/convert.ts";
import type { HostArray, WeightDType } from "../src/tensor/dtype.ts";
import { checkResult, fastest, noise, type OpenEngine, oneOp, type TimedKernel } from "./kernels.ts";

export interface LinearSize {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly dtype: WeightDType;
}

/** Elements of the result that are compared; all of them would take longer than the benchmark. */
const SAMPLES = 200;

/** A linear as a program of one op. @throws when the result is wrong. */
export async function linear({ m, n, k, dtype }: LinearSize, open?: OpenEngine): Promise<TimedKernel> {
  const [x, w] = [noise(m * k, 3), noise(n * k, 5)];
  const name = `linear ${m} x ${n} x ${k}, ${dtype}`;
  const kernel = await oneOp(
    (builder) => builder.linear({ x: builder.input("x", [m, k], "f32"), w: builder.weight("w", [n, k]) }),
    { x: { data: x, cols: k } },
    { w },
    [m, n],
    { weightDType: dtype, open },
  );
  await kernel.run();
  checkResult(name, await kernel.engine.read(kernel.output), naiveSamples(x, w, { m, n, k, dtype }));
  return { ...kernel, name, operations: 2 * m * n * k };
}

/** Seconds of the fastest run. @throws when the result is wrong. */
export async function timeLinear(size: LinearSize): Promise<number> {
  const { name, run, engine } = await linear(size);
  try {
    return await fastest(name, run);
  } finally {
    engine.dispose();
  }
}

function naiveSamples(x: HostArray, w: HostArray, { m, n, k, dtype }: LinearSize) {
  const stored = toFloat32(dtype, fromFloat32(dtype, Float32Array.from(w)));
  return Array.from({ length: SAMPLES }, (_, sample): [number, number] => {
    const index = Math.floor(((sample + 0.5) / SAMPLES) * m * n);
    const [row, column] = [Math.floor(index / n), index % n];
    let sum = 0;
    for (let i = 0; i < k; i++) sum += (x[row * k + i] as number) * (stored[column * k + i] as number);
    return [index, sum];
  });
}
