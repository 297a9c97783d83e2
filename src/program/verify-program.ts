/**
 * Verification of a program against the op table, once, before any engine sees it. Whatever holds here holds for every
 * value of the symbols, so an engine is left with what the table can not know: the memory that is bound, the symbols'
 * values and the contents of index inputs.
 */
import type { Program } from "./program.ts";
import { verifyDeclarations } from "./verify-declarations.ts";
import { verifyInstructions } from "./verify-instructions.ts";

declare const verified: unique symbol;

/** A program that keeps the op table's rules. Only `verifyProgram` makes one, and only such a program is loaded. */
export type VerifiedProgram = Program & {
  readonly [verified]: true;
  /**
   * Of a program for a device group: what each rank runs, rank = pipeline stage * tensor ranks + rank of the tensor group.
   * One without instructions has nothing to do. Not part of the bytes.
   */
  readonly ranks?: readonly VerifiedProgram[];
};

/**
 * The same program, known to be right: its symbols, buffers and tensors are declared and lie inside each other, and
 * operands and attributes of each instruction are what its op says.
 * @throws PROGRAM_INVALID naming the program, the place in it and what is wrong.
 */
export function verifyProgram(program: Program): VerifiedProgram {
  verifyDeclarations(program);
  verifyInstructions(program);
  return program as VerifiedProgram;
}
