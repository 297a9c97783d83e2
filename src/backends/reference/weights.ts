/** Fills a weight with the rows of its source, converted where the checkpoint has another format. */
import { quantise } from "../../tensor/blocks.ts";
import { narrow } from "../../tensor/convert.ts";
import { countNotFiniteRows } from "../../tensor/rows.ts";
import { isBlockFormat, isRoundedFormat, storageBytes } from "../../tensor/storage.ts";
import type { WeightRows } from "../backend.ts";
import { checkSource } from "../check-source.ts";
import { notFinite } from "../not-finite.ts";
import { typedArray } from "./elements.ts";
import { ReferenceWeight } from "./memory.ts";

/** Elements converted at a time. */
const CHUNK = 1 << 18;

/** @throws WEIGHTS_INVALID when a value is NaN or infinite as stored; INPUT_INVALID where the format is not made of the source's. */
export async function readWeight(source: WeightRows, weight: ReferenceWeight): Promise<void> {
  checkSource(source);
  const bytes = new Uint8Array(weight.stored);
  if (source.dtype === weight.format) await source.readRows(0, source.rows, bytes);
  else await convertRows(source, weight);
  const bad = countNotFiniteRows(weight.format, bytes);
  if (bad > 0) throw await notFinite(source, bad);
}

async function convertRows(source: WeightRows, weight: ReferenceWeight): Promise<void> {
  const { rows, cols } = source;
  const chunk = new ReferenceWeight(source.dtype, Math.max(1, Math.floor(CHUNK / cols)), cols);
  const wide = new Float32Array(chunk.rows * cols);
  const { format } = weight;
  for (let first = 0; first < rows; first += chunk.rows) {
    const count = Math.min(chunk.rows, rows - first);
    await source.readRows(
      first,
      count,
      new Uint8Array(chunk.stored, 0, storageBytes(source.dtype, count, cols)),
    );
    chunk.elements.read(0, count * cols, wide, 0);
    if (!isRoundedFormat(format)) throw new RangeError(`nothing becomes ${format}`);
    if (isBlockFormat(format)) {
      const start = storageBytes(format, first, cols);
      quantise(format, wide.subarray(0, count * cols), new Uint8Array(weight.stored, start));
    } else {
      narrow(format, wide, 0, count * cols, typedArray(format, weight.stored), first * cols);
    }
  }
}
