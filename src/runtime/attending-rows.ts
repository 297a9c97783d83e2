/** What the decoder's program reads of rows of which it is to tell what they attend to, and what it has told. */
import type { Program } from "../program/program.ts";

export interface AttendingRow {
  /** Among those of the step. */
  readonly row: number;
  /** The number of its sequence there. */
  readonly sequence: number;
  /** Keys that it sees: those up to its own. */
  readonly keys: number;
}

/** Whether a decoder's program was built with that output. */
export function tellsAttention({ buffers }: Pick<Program, "buffers">): boolean {
  return buffers.some(({ name }) => name === "attendingRows");
}

export function attendingInputs(rows: readonly AttendingRow[]) {
  return {
    attendingRows: Int32Array.from(rows, ({ row }) => row),
    attendingSequences: Int32Array.from(rows, ({ sequence }) => sequence),
    attendedKeys: Int32Array.from(rows, ({ keys }) => keys),
  };
}

/** @param columns of the output @returns of each row of a sequence, the weights of the keys that it sees */
export function attentionOf(
  sequence: number,
  rows: readonly AttendingRow[],
  output: Float32Array,
  columns: number,
): Float32Array[] {
  return rows.flatMap((row, index) =>
    row.sequence === sequence ? [output.slice(index * columns, index * columns + row.keys)] : [],
  );
}
