/** Fills a tensor with a weight's rows, converted to the type it is stored in where the checkpoint's is another. */
import { narrow, widen } from "../../tensor/convert.ts";
import { hostArray } from "../../tensor/dtype.ts";
import { countNotFinite } from "../../tensor/finite.ts";
import { storageBytes } from "../../tensor/storage.ts";
import type { WeightRows } from "../backend.ts";
import { notFinite } from "../not-finite.ts";
import type { ReferenceTensor } from "./memory.ts";

/** Elements converted at a time. */
const CHUNK = 1 << 18;

/** @throws WEIGHTS_INVALID when a value is NaN or infinite as stored. */
export async function readWeight(source: WeightRows, tensor: ReferenceTensor): Promise<void> {
  if (source.dtype === tensor.dtype) {
    const { buffer, byteOffset, byteLength } = tensor.data;
    await source.readRows(0, source.rows, new Uint8Array(buffer, byteOffset, byteLength));
  } else {
    await convertRows(source, tensor);
  }
  const bad = countNotFinite(source.spec.dtype, tensor.data);
  if (bad > 0) throw await notFinite(source, bad);
}

async function convertRows(source: WeightRows, tensor: ReferenceTensor): Promise<void> {
  const { rows, cols } = source;
  const chunkRows = Math.max(1, Math.floor(CHUNK / cols));
  const stored = hostArray(source.dtype, chunkRows * cols);
  const wide = new Float32Array(chunkRows * cols);
  for (let first = 0; first < rows; first += chunkRows) {
    const count = Math.min(chunkRows, rows - first);
    const elements = count * cols;
    const bytes = storageBytes(source.dtype, count, cols);
    await source.readRows(first, count, new Uint8Array(stored.buffer, 0, bytes));
    widen(source.dtype, stored, 0, elements, wide, 0);
    narrow(tensor.dtype, wide, 0, elements, tensor.data, first * cols);
  }
}
