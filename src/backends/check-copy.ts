/** What engines ask of a copy between tensors of their own. */
import { GlimtError } from "../errors.ts";
import type { DeviceRows, DeviceTensor } from "./backend.ts";

/** @throws INPUT_INVALID when `from` does not fit the rows of `to` from `firstRow` on, or overlaps them. */
export function checkCopy(to: DeviceTensor, firstRow: number, from: DeviceRows): void {
  const { tensor, firstRow: fromRow, rows } = from;
  const fits = (whole: DeviceTensor, first: number) =>
    [first, rows].every((count) => Number.isInteger(count) && count >= 0) && first + rows <= whole.rows;
  const overlaps = to === tensor && firstRow < fromRow + rows && fromRow < firstRow + rows;
  const alike = to.dtype === tensor.dtype && to.cols === tensor.cols;
  if (alike && fits(to, firstRow) && fits(tensor, fromRow) && !overlaps) return;
  const shape = ({ dtype, rows, cols }: DeviceTensor) => `${dtype}[${rows}, ${cols}]`;
  throw new GlimtError(
    "INPUT_INVALID",
    `copy: rows ${fromRow}..${fromRow + rows} of ${shape(tensor)} can not be copied to row ${firstRow} of ${shape(to)}.`,
  );
}
