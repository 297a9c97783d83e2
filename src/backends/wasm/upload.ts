/** Brings a weight into the module's memory: rows pass through a small staging block and are converted and laid out. */
import { formatCode, LAYOUTS, storageBytes, type WeightLayout } from "../../tensor/storage.ts";
import type { WeightRows } from "../backend.ts";
import { notFinite } from "../not-finite.ts";
import type { KernelExports } from "./kernels.ts";
import type { WasmMemory, WasmTensor } from "./memory.ts";

/** Bytes of staging: large enough for sequential reads, small beside any model. */
const STAGING_BYTES = 4 << 20;

/**
 * Peak memory is the weight itself plus the staging block, which a plain weight of the same dtype does without.
 * @throws OUT_OF_MEMORY, WEIGHTS_INVALID when a value is NaN or infinite as stored.
 */
export async function uploadWeight(
  kernels: KernelExports,
  memory: WasmMemory,
  source: WeightRows,
  layout: WeightLayout,
): Promise<WasmTensor> {
  const tensor = memory.allocate(source.spec.dtype, source.rows, source.cols, layout);
  try {
    const inPlace = layout === "plain" && source.dtype === tensor.dtype;
    const bad = inPlace
      ? await readInPlace(kernels, memory, source, tensor)
      : await readStaged(kernels, memory, source, tensor);
    if (bad > 0) throw await notFinite(source, bad);
    return tensor;
  } catch (error) {
    memory.free(tensor);
    throw error;
  }
}

/** Returns how many values are not finite. */
async function readInPlace(
  kernels: KernelExports,
  memory: WasmMemory,
  source: WeightRows,
  tensor: WasmTensor,
): Promise<number> {
  await source.readRows(0, source.rows, memory.bytes(tensor));
  const code = formatCode(tensor.dtype);
  return kernels.glimt_convert(tensor.pointer, code, tensor.pointer, code, source.rows, source.cols);
}

async function readStaged(
  kernels: KernelExports,
  memory: WasmMemory,
  source: WeightRows,
  tensor: WasmTensor,
): Promise<number> {
  const { rows, cols } = source;
  const rowBytes = storageBytes(source.dtype, 1, cols);
  const { tileRows } = LAYOUTS[tensor.layout];
  const tiles = Math.max(1, Math.floor(STAGING_BYTES / Math.max(1, rowBytes * tileRows)));
  const chunkRows = Math.min(rows, tiles * tileRows);
  const staging = memory.allocateBlock(chunkRows * rowBytes, `staging weight "${source.spec.name}"`);
  const [to, from] = [formatCode(tensor.dtype), formatCode(source.dtype)];
  if (tensor.layout === "tiles8") {
    // The last tile may hold fewer rows than it has room for; their places must be zeros.
    const tileBytes = storageBytes(tensor.dtype, tileRows, cols);
    memory.bytes(tensor).fill(0, Math.max(0, tensor.bytes - tileBytes));
  }
  try {
    let bad = 0;
    for (let first = 0; first < rows; first += chunkRows) {
      const count = Math.min(chunkRows, rows - first);
      await source.readRows(first, count, memory.bytes({ ...staging, bytes: count * rowBytes }));
      if (tensor.layout === "tiles8") {
        bad += kernels.glimt_pack_rows(tensor.pointer, to, cols, staging.pointer, from, first, count);
      } else {
        const place = tensor.pointer + storageBytes(tensor.dtype, first, cols);
        bad += kernels.glimt_convert(place, to, staging.pointer, from, count, cols);
      }
    }
    return bad;
  } finally {
    memory.freeBlock(staging);
  }
}
