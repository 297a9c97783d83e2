/** Streams a weight to the device: while one piece travels, the next is read. */
import { formatCode, storageBytes } from "../../tensor/storage.ts";
import type { WeightRows } from "../backend.ts";
import { checkSource } from "../check-source.ts";
import { notFinite } from "../not-finite.ts";
import type { CudaAddon } from "./addon.ts";
import { nativeLater } from "./errors.ts";
import type { CudaWeight } from "./tensor.ts";

/** Bytes of a piece: large enough for sequential reads and full bus speed, small beside any model. */
const PIECE_BYTES = 8 << 20;

/**
 * Host memory is two pieces. @throws WEIGHTS_INVALID when a value is NaN or infinite as stored; INPUT_INVALID where the format
 * is not made of the source's.
 */
export async function fillWeight(addon: CudaAddon, source: WeightRows, weight: CudaWeight): Promise<void> {
  checkSource(source);
  const bad = await sendRows(addon, source, weight);
  if (bad > 0) throw await notFinite(source, bad);
}

/** Returns how many values are not finite. */
async function sendRows(addon: CudaAddon, source: WeightRows, weight: CudaWeight): Promise<number> {
  const { rows, cols } = source;
  const rowBytes = storageBytes(source.dtype, 1, cols);
  const pieceRows = Math.max(1, Math.min(rows, Math.floor(PIECE_BYTES / Math.max(1, rowBytes))));
  // The addon works on a copy of its own, so that the next piece may be read over this one.
  const all = new Uint8Array(pieceRows * rowBytes);
  const code = formatCode(source.dtype);
  let sent: Promise<number> = Promise.resolve(0);
  let bad = 0;
  try {
    for (let first = 0; first < rows; first += pieceRows) {
      const count = Math.min(pieceRows, rows - first);
      const piece = all.subarray(0, count * rowBytes);
      await source.readRows(first, count, piece);
      bad += await sent;
      sent = nativeLater(() => addon.upload(weight.handle, first, count, code, piece));
    }
  } catch (error) {
    // The piece that still travels must neither outlive the weight nor end as an unhandled rejection.
    await sent.catch(() => 0);
    throw error;
  }
  return bad + (await sent);
}
