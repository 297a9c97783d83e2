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
