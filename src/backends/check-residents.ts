/** Whether an executable can be bound to what it is given; only runs know how many rows they need. */
import { GlimtError } from "../errors.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import type { DeviceTensor, Residents } from "./backend.ts";

/**
 * @param owned throws DISPOSED for a tensor that is freed or another engine's
 * @throws INPUT_INVALID naming a buffer that does not exist, or is of another dtype or width; DISPOSED
 */
export function checkResidents(
  program: VerifiedProgram,
  resident: Residents,
  owned: (tensor: DeviceTensor) => DeviceTensor,
): void {
  const buffers = new Map(program.buffers.map((buffer) => [buffer.name, buffer]));
  for (const [name, binding] of Object.entries(resident)) {
    const buffer = buffers.get(name);
    if (!buffer || buffer.kind === "weight" || buffer.kind === "temporary") {
      throw invalid(program, name, "is no state, input or output, and can not be bound");
    }
    if (ArrayBuffer.isView(binding)) {
      throw invalid(program, name, "is bound to a host array, which can not stay bound");
    }
    const { tensor, firstRow, rows } =
      "tensor" in binding ? binding : { tensor: binding, firstRow: 0, rows: binding.rows };
    const { dtype, cols, rows: count } = owned(tensor);
    const width = typeof buffer.cols === "number" ? buffer.cols : "?";
    if (dtype !== buffer.dtype || (width !== "?" && width !== cols)) {
      const expected = `${buffer.dtype}[?, ${width}]`;
      throw invalid(program, name, `is ${dtype}[${count}, ${cols}], expected ${expected}`);
    }
    if (!(firstRow >= 0 && rows >= 0 && firstRow + rows <= count)) {
      throw invalid(program, name, "is bound to rows outside of its tensor");
    }
  }
}

function invalid(program: VerifiedProgram, name: string, found: string): GlimtError {
  return new GlimtError("INPUT_INVALID", `${program.name}: "${name}" ${found}.`);
}
