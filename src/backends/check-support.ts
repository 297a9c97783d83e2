/** Whether a backend can run the instructions of a program: its answers, asked once for each kind of instruction. */
import { GlimtError } from "../errors.ts";
import type { NodeQuery } from "../graph/node-query.ts";
import { OPS } from "../graph/ops.ts";
import type { Instruction } from "../program/program.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import type { Backend } from "./backend.ts";

/** @throws BACKEND_UNAVAILABLE with the backend's reason, naming the instruction that it can not run. */
export function checkSupport(program: VerifiedProgram, backend: Pick<Backend, "supports">): void {
  const lacking = unsupported(program, backend);
  if (lacking) {
    throw new GlimtError("BACKEND_UNAVAILABLE", `${program.name}: ${lacking.scope}: ${lacking.reason}`);
  }
}

/** The first instruction that the backend can not run, and why; null when it can run all. */
export function unsupported(
  program: VerifiedProgram,
  backend: Pick<Backend, "supports">,
): { readonly scope: string; readonly reason: string } | null {
  const asked = new Set<string>();
  for (const instruction of program.instructions) {
    const query = instructionQuery(program, instruction);
    const key = JSON.stringify(query);
    if (asked.has(key)) continue;
    asked.add(key);
    const answer = backend.supports(query);
    if (!answer.ok) return { scope: instruction.scope, reason: answer.reason };
  }
  return null;
}

function instructionQuery(program: VerifiedProgram, { op, inputs, attrs }: Instruction): NodeQuery {
  const format = (tensor: number) => program.buffers[program.tensors[tensor]?.buffer ?? -1]?.dtype ?? "f32";
  const named = <T>(names: object, value: (index: number) => T) =>
    Object.fromEntries(Object.keys(names).map((name, index) => [name, value(index)]));
  return {
    op,
    attrs: named(OPS[op].attrs, (index) => attrs[index] as number),
    activation: program.activation,
    formats: named(OPS[op].inputs, (index) => format(inputs[index] as number)),
  };
}
