/** Weights out of thin air: seeded by name, scaled so that activations neither vanish nor explode. */
import type { WeightRows } from "../backends/backend.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import { storedRows } from "./harness.ts";
import { Random } from "./random.ts";

export function seededRows(spec: WeightSpec): WeightRows {
  const [rows = 1, ...rest] = spec.shape;
  const cols = rest.reduce((product, size) => product * size, 1);
  const random = new Random(spec.name);
  return storedRows(
    spec,
    Float32Array.from({ length: rows * cols }, () => value(spec, cols, random)),
  );
}

/** Norm weights are near 1, biases small, matrices of unit gain; the head's gain is larger, to keep choices apart. */
function value({ name, shape }: WeightSpec, cols: number, random: Random): number {
  if (shape.length === 1) return (name.endsWith("bias") ? 0 : 1) + 0.1 * random.normal();
  return ((name.startsWith("lm_head") ? 4 : 1) * random.normal()) / Math.sqrt(cols);
}
