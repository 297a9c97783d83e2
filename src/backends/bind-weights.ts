/** Finds each weight that a program reads. */
import { GlimtError } from "../errors.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import type { DeviceWeight } from "./backend.ts";

/**
 * By buffer index; null for buffers that are no weight.
 * @throws PROGRAM_INVALID naming a weight that is missing, or of another dtype, shape or layout.
 */
export function bindWeights(
  program: VerifiedProgram,
  weights: ReadonlyMap<string, DeviceWeight>,
): (DeviceWeight | null)[] {
  return program.buffers.map(({ kind, name, dtype, layout, rows, cols }) => {
    if (kind !== "weight") return null;
    const weight = weights.get(name);
    const fail = (found: string): never => {
      throw new GlimtError("PROGRAM_INVALID", `${program.name}: weight "${name}" ${found}.`);
    };
    if (!weight) return fail("is missing");
    if (weight.format !== dtype || weight.rows !== rows || weight.cols !== cols) {
      fail(`is ${weight.format}[${weight.rows}, ${weight.cols}], expected ${dtype}[${rows}, ${cols}]`);
    }
    if (weight.layout !== layout) fail(`was uploaded in ${weight.layout}, expected ${layout}`);
    return weight;
  });
}
