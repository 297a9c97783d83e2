/** What a rank of a device group says to the others in one run of its program, as the program has it. */
import { type CollectiveOp, isCollective } from "../graph/ops.ts";
import { evaluateDim, type SymbolValues } from "../tensor/dims.ts";
import { storageBytes } from "../tensor/storage.ts";
import type { Instruction, Program, ProgramTensor } from "./program.ts";

/** The ops of one kind in a run. */
export interface Communication {
  /** "spread" is none of a program: features that a rank has encoded are brought to those that read them. */
  readonly op: "all_reduce" | "all_gather" | "reduce_scatter" | "send" | "receive" | "spread";
  /** How many of them. */
  readonly operations: number;
  /** What the rank gives of its own, each element once, however it travels. What it receives is counted where it is sent. */
  readonly bytes: number;
}

/** By op, in the order in which the program has them first. */
export function communicationOf(program: Program, symbols: SymbolValues): Communication[] {
  const found = new Map<CollectiveOp, { op: CollectiveOp; operations: number; bytes: number }>();
  for (const instruction of program.instructions) {
    const { op } = instruction;
    if (!isCollective(op)) continue;
    const sum = found.get(op) ?? { op, operations: 0, bytes: 0 };
    sum.operations++;
    sum.bytes += givenBytes(program, instruction, symbols);
    found.set(op, sum);
  }
  return [...found.values()];
}

/** Of one collective op: what the rank gives. */
export function givenBytes(program: Program, { op, inputs }: Instruction, symbols: SymbolValues): number {
  if (op === "receive") return 0;
  const { rows, cols } = program.tensors[inputs[0] as number] as ProgramTensor;
  return storageBytes(program.activation, evaluateDim(rows, symbols), evaluateDim(cols, symbols));
}
