/** How far two runs of a case are apart. */
import type { DType } from "../tensor/dtype.ts";
import type { CaseRun } from "./harness.ts";

export interface Difference {
  /** Largest |a - b| over finite elements. */
  readonly maxAbs: number;
  /** Largest |a - b| / max(|reference|, rms of the output). */
  readonly maxRel: number;
  readonly ok: boolean;
  /** The first thing that is wrong. */
  readonly failure?: string;
}

/** Allowed relative difference by the type activations are stored in: a few units in its last place. */
export const TOLERANCES: Readonly<Record<Exclude<DType, "i32">, number>> = {
  f32: 2e-4,
  f16: 4e-3,
  bf16: 2e-2,
};

/** Integers must be equal, NaN must stand where the reference has NaN, and infinities must have its sign. */
export function compareRuns(reference: CaseRun, other: CaseRun, tolerance: number): Difference {
  let maxAbs = 0;
  let maxRel = 0;
  let failure: string | undefined;
  for (const [name, expected] of Object.entries(reference.outputs)) {
    const found = other.outputs[name];
    if (found?.length !== expected.length) {
      failure ??= `${name} has ${found?.length} elements, expected ${expected.length}`;
      continue;
    }
    const rms = rootMeanSquare(expected);
    const allowed = expected instanceof Int32Array ? 0 : tolerance;
    for (let index = 0; index < expected.length; index++) {
      const [a, b] = [expected[index] as number, found[index] as number];
      if (Object.is(a, b) || a === b) continue;
      const abs = Math.abs(a - b);
      const rel = abs / Math.max(Math.abs(a), rms);
      if (Number.isFinite(a) && Number.isFinite(b)) {
        maxAbs = Math.max(maxAbs, abs);
        maxRel = Math.max(maxRel, rel);
        if (rel <= allowed) continue;
      }
      failure ??= `${name}[${index}] is ${b}, expected ${a}`;
    }
  }
  if (other.strayWrites.length) failure ??= `wrote outside ${other.strayWrites.join(", ")}`;
  return { maxAbs, maxRel, ok: failure === undefined, ...(failure !== undefined && { failure }) };
}

function rootMeanSquare(values: Float32Array | Int32Array): number {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    sum += value * value;
    count++;
  }
  return Math.sqrt(sum / Math.max(1, count));
}
