/** Weights out of tensors out of thin air: a part of a weight has just what the whole weight has there. */
import type { WeightRows } from "../../src/backends/backend.ts";
import { storedRows } from "../../src/conformance/harness.ts";
import { Random } from "../../src/conformance/random.ts";
import { sourceRectangle, type WeightSource, type WeightSpec } from "../../src/graph/weight-spec.ts";

const tensors = new Map<string, Float32Array>();

/** Whose blocks are made of its values here, if it has any. */
export function tensorRows(spec: WeightSpec): WeightRows {
  return storedRows(spec, Float32Array.from(spec.sources.flatMap((source) => [...rectangle(source)])));
}

function rectangle(source: WeightSource): Float32Array {
  const { rows, cols, tensorCols } = sourceRectangle(source);
  const values = tensorOf(source, tensorCols);
  const cut = new Float32Array(rows.count * cols.count);
  for (let row = 0; row < rows.count; row++) {
    for (let col = 0; col < cols.count; col++) {
      const at = (rows.first + row) * tensorCols + cols.first + col;
      cut[row * cols.count + col] = (values[at] as number) * (source.scale ?? 1);
    }
  }
  return cut;
}

/** Norm weights are near 1, biases small, matrices of unit gain. */
function tensorOf({ tensor, shape }: WeightSource, cols: number): Float32Array {
  const known = tensors.get(`${tensor} ${shape}`);
  if (known) return known;
  const random = new Random(tensor);
  const isVector = shape.length === 1;
  const offset = isVector && !tensor.endsWith("bias") ? 1 : 0;
  const scale = isVector ? 0.1 : 1 / Math.sqrt(cols);
  const made = Float32Array.from({ length: (shape[0] ?? 1) * cols }, () => offset + scale * random.normal());
  tensors.set(`${tensor} ${shape}`, made);
  return made;
}
