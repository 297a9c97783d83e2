/** Bytes that a program's buffers and temporaries take, for given values of its symbols. */
import { evaluateDim, type SymbolValues } from "../tensor/dims.ts";
import { storageBytes } from "../tensor/storage.ts";
import type { Program, ProgramBuffer } from "./program.ts";

/** Bytes of a buffer for given symbol values. */
export function bufferBytes(
  buffer: Pick<ProgramBuffer, "rows" | "cols" | "dtype">,
  symbols: SymbolValues,
): number {
  return storageBytes(buffer.dtype, evaluateDim(buffer.rows, symbols), evaluateDim(buffer.cols, symbols));
}

/** Bytes of each slot for given symbol values: what a run's arena needs. */
export function slotBytes(program: Program, symbols: SymbolValues): number[] {
  const bytes = new Array<number>(program.slotCount).fill(0);
  for (const buffer of program.buffers) {
    if (buffer.slot >= 0)
      bytes[buffer.slot] = Math.max(bytes[buffer.slot] as number, bufferBytes(buffer, symbols));
  }
  return bytes;
}

/** Bytes of all slots: what a run takes for what it computes on the way. */
export function arenaBytes(program: Program, symbols: SymbolValues): number {
  return sum(slotBytes(program, symbols));
}

/** Bytes that a run reads of its inputs. */
export function inputBytes({ buffers }: Program, symbols: SymbolValues): number {
  const inputs = buffers.filter(({ kind }) => kind === "input");
  return sum(inputs.map((buffer) => bufferBytes(buffer, symbols)));
}

/** Weights are numbers throughout; one that several programs use counts once. */
export function weightBytes(programs: readonly Program[]): number {
  const none: SymbolValues = {};
  const weights = new Map(
    programs.flatMap(({ buffers }) =>
      buffers
        .filter(({ kind }) => kind === "weight")
        .map((buffer) => [buffer.name, bufferBytes(buffer, none)] as const),
    ),
  );
  return sum([...weights.values()]);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
