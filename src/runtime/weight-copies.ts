/** Weights that may hold what another one does: told while that one is read, so that nothing is read twice. */
import type { WeightRows } from "../backends/backend.ts";

/** Held beside a weight that is read whole. */
const PIECE_BYTES = 4 << 20;

/** Whether they make the same weight if their rows are the same. */
export function mayShare(a: WeightRows, b: WeightRows): boolean {
  return a.spec.dtype === b.spec.dtype && a.dtype === b.dtype && a.rows === b.rows && a.cols === b.cols;
}

/** Rows of a weight that are compared with another's as they are read. */
export interface ComparedRows {
  readonly rows: WeightRows;
  /** Whether all of them were read, and every byte was the other's. */
  readonly areSame: () => boolean;
}

/** Of two that may share. The other is read as far as they are the same. */
export function comparedRows(weight: WeightRows, other: WeightRows): ComparedRows {
  let read = 0;
  let differ = false;
  const readRows: WeightRows["readRows"] = async (first, count, into, signal) => {
    const next = read;
    if (first === next) read += count;
    else differ = true;
    await weight.readRows(first, count, into, signal);
    const rowBytes = into.length / count;
    const pieceRows = Math.max(1, Math.floor(PIECE_BYTES / rowBytes));
    for (let row = 0; row < count && !differ; row += pieceRows) {
      const rows = Math.min(pieceRows, count - row);
      const found = new Uint8Array(rows * rowBytes);
      await other.readRows(first + row, rows, found, signal);
      if (!areSameBytes(into.subarray(row * rowBytes, (row + rows) * rowBytes), found)) differ = true;
    }
  };
  return { rows: { ...weight, readRows }, areSame: () => !differ && read === weight.rows };
}

function areSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  const areWords = a.byteOffset % 4 === 0 && a.length % 4 === 0;
  const [x, y] = areWords ? [wordsOf(a), wordsOf(b)] : [a, b];
  for (let at = 0; at < x.length; at++) if (x[at] !== y[at]) return false;
  return true;
}

function wordsOf(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
