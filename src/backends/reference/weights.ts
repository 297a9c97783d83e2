/** Fills a tensor with a weight's rows, converted to the tensor's dtype where the checkpoint's is another. */
import { BYTES_PER_ELEMENT, hostArray } from "../../tensor/dtype.ts";
import type { WeightRows } from "../backend.ts";
import type { ReferenceTensor } from "./memory.ts";
import { narrow, widen } from "./storage.ts";

/** Elements converted at a time. */
const CHUNK = 1 << 18;

export async function readWeight(source: WeightRows, tensor: ReferenceTensor): Promise<void> {
  const { rows, cols } = source;
  const { data } = tensor;
  if (source.dtype === tensor.dtype) {
    await source.readRows(0, rows, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return;
  }
  const chunkRows = Math.max(1, Math.floor(CHUNK / cols));
  const stored = hostArray(source.dtype, chunkRows * cols);
  const wide = new Float32Array(chunkRows * cols);
  for (let first = 0; first < rows; first += chunkRows) {
    const count = Math.min(chunkRows, rows - first);
    const elements = count * cols;
    const bytes = elements * BYTES_PER_ELEMENT[source.dtype];
    await source.readRows(first, count, new Uint8Array(stored.buffer, 0, bytes));
    widen(source.dtype, stored, 0, elements, wide, 0);
    narrow(tensor.dtype, wide, 0, elements, data, first * cols);
  }
}
