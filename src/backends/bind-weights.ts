/** Finds the tensor of each weight that a program reads. */
import { GlimtError } from "../errors.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import type { DeviceTensor } from "./backend.ts";

/**
 * By buffer index; null for buffers that are no weight.
 * @throws PROGRAM_INVALID naming a weight that is missing, or of another dtype, shape or layout.
 */
export function bindWeights(
  program: VerifiedProgram,
  weights: ReadonlyMap<string, DeviceTensor>,
): (DeviceTensor | null)[] {
  return program.buffers.map(({ kind, name, dtype, layout, rows, cols }) => {
    if (kind !== "weight") return null;
    const tensor = weights.get(name);
    const fail = (found: string): never => {
      throw new GlimtError("PROGRAM_INVALID", `${program.name}: weight "${name}" ${found}.`);
    };
    if (!tensor) return fail("is missing");
    if (tensor.dtype !== dtype || tensor.rows !== rows || tensor.cols !== cols) {
      fail(`is ${tensor.dtype}[${tensor.rows}, ${tensor.cols}], expected ${dtype}[${rows}, ${cols}]`);
    }
    if (tensor.layout !== layout) fail(`was uploaded in ${tensor.layout}, expected ${layout}`);
    return tensor;
  });
}
