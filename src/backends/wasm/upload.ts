/** Brings a weight into the module's memory: rows pass through a small staging block and are converted and laid out. */
import { GlimtError } from "../../errors.ts";
import { turnWhenDue } from "../../event-loop.ts";
import { formatCode, LAYOUTS, storageBytes, type WeightLayout } from "../../tensor/storage.ts";
import type { MemoryDemand, WeightRows } from "../backend.ts";
import { checkSource } from "../check-source.ts";
import { notFinite } from "../not-finite.ts";
import type { Kernels } from "./kernels.ts";
import type { WasmMemory, WasmWeight } from "./memory.ts";
import { outOfMemory } from "./memory-limit.ts";

/** Bytes of staging: large enough for sequential reads, small beside any model. */
const STAGING_BYTES = 4 << 20;

/**
 * @param stackBytes of threads. @throws OUT_OF_MEMORY when what is to be loaded does not fit beside them, before any of it
 * is read.
 */
export function refuseLoading(kernels: Kernels, demand: MemoryDemand | undefined, stackBytes: number): void {
  if (!demand) return;
  // Staging is given back before the first request.
  const needed = demand.loaded + Math.max(STAGING_BYTES, demand.least) + stackBytes;
  if (needed <= kernels.glimt_available_bytes()) return;
  const request = demand.least > STAGING_BYTES ? ", the smallest request" : "";
  const stacks = stackBytes > 0 ? ", and stacks of threads" : "";
  throw outOfMemory(kernels, needed, `the weights and KV cache${request}${stacks}`);
}

/**
 * Memory grows once for all that is to be loaded: each time it does, the host may look through its own memory for what can
 * go. Where it can not, what does not fit is found out when it is loaded.
 */
export function growForLoading(kernels: Kernels, demand: MemoryDemand | undefined): void {
  const pointer = demand ? kernels.glimt_allocate(demand.loaded + STAGING_BYTES) : 0;
  if (pointer !== 0) kernels.glimt_free(pointer);
}

/**
 * Peak memory is the weight itself plus the staging block, which a plain weight of the same dtype does without.
 * @throws OUT_OF_MEMORY; WEIGHTS_INVALID when a value is NaN or infinite as stored; INPUT_INVALID where the format is not
 * made of the source's.
 */
export async function uploadWeight(
  kernels: Kernels,
  memory: WasmMemory,
  source: WeightRows,
  layout: WeightLayout,
): Promise<WasmWeight> {
  checkSource(source);
  if (source.spec.dtype === "fp8") {
    throw new GlimtError(
      "INPUT_INVALID",
      `wasm: weight "${source.spec.name}" is fp8, which no kernel reads.`,
    );
  }
  const weight = memory.allocateWeight(source.spec.dtype, source.rows, source.cols, layout);
  try {
    const inPlace = layout === "plain" && source.dtype === weight.format;
    const bad = inPlace
      ? await readInPlace(kernels, memory, source, weight)
      : await readStaged(kernels, memory, source, weight);
    if (bad > 0) throw await notFinite(source, bad);
    return weight;
  } catch (error) {
    memory.free(weight);
    throw error;
  }
}

/** Returns how many values are not finite. */
async function readInPlace(
  kernels: Kernels,
  memory: WasmMemory,
  source: WeightRows,
  weight: WasmWeight,
): Promise<number> {
  await source.readRows(0, source.rows, memory.bytes(weight));
  const code = formatCode(weight.format);
  return kernels.glimt_convert(weight.pointer, code, weight.pointer, code, source.rows, source.cols);
}

/** Pieces of the staging block: one is laid out while the next two are read, so that reading waits for nothing. */
const PIECES = 3;

/** Returns how many values are not finite. */
async function readStaged(
  kernels: Kernels,
  memory: WasmMemory,
  source: WeightRows,
  weight: WasmWeight,
): Promise<number> {
  const { rows, cols } = source;
  const rowBytes = storageBytes(source.dtype, 1, cols);
  const { tileRows } = LAYOUTS[weight.layout];
  const tiles = Math.max(1, Math.floor(STAGING_BYTES / PIECES / Math.max(1, rowBytes * tileRows)));
  const chunkRows = Math.min(rows, tiles * tileRows);
  const pieces = Math.min(PIECES, Math.ceil(rows / chunkRows));
  const staging = memory.allocateBlock(pieces * chunkRows * rowBytes, `staging weight "${source.spec.name}"`);
  const [to, from] = [formatCode(weight.format), formatCode(source.dtype)];
  if (weight.layout === "tiles8") {
    // The last tile may hold fewer rows than it has room for; their places must be zeros.
    const tileBytes = storageBytes(weight.format, tileRows, cols);
    memory.bytes(weight).fill(0, Math.max(0, weight.bytes - tileBytes));
  }
  const reads: Piece[] = [];
  const read = (first: number) => {
    if (first >= rows) return;
    const pointer = staging.pointer + ((first / chunkRows) % pieces) * chunkRows * rowBytes;
    const count = Math.min(chunkRows, rows - first);
    const into = memory.bytes({ pointer, bytes: count * rowBytes });
    const done = (async () => source.readRows(first, count, into))();
    // Thrown to who waits for it, if anybody does.
    done.catch(() => undefined);
    reads.push({ pointer, first, count, done });
  };
  const ahead = Math.max(1, pieces - 1);
  for (let piece = 0; piece < ahead; piece++) read(piece * chunkRows);
  try {
    let bad = 0;
    for (let piece = reads[0]; piece; piece = reads[0]) {
      const { pointer, first, count, done } = piece;
      await turnWhenDue();
      await done;
      reads.shift();
      // Into the piece that was laid out before this one; of a single one there is nothing more to read.
      read(first + ahead * chunkRows);
      if (weight.layout === "tiles8") {
        bad += kernels.glimt_pack_rows(weight.pointer, to, cols, pointer, from, first, count);
      } else {
        const place = weight.pointer + storageBytes(weight.format, first, cols);
        bad += kernels.glimt_convert(place, to, pointer, from, count, cols);
      }
    }
    return bad;
  } finally {
    // Nothing may be written into it any more.
    await Promise.allSettled(reads.map(({ done }) => done));
    memory.freeBlock(staging);
  }
}

/** Rows on their way into the staging block. */
interface Piece {
  readonly pointer: number;
  readonly first: number;
  readonly count: number;
  readonly done: Promise<void>;
}
