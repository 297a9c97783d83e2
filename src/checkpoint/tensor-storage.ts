/** What becomes of a checkpoint's tensors on a device: the format, the bytes, and what is lost on the way. */
import { sourceRectangle, type WeightSpec } from "../graph/weight-spec.ts";
import { fitsInto8Bits } from "../tensor/blocks.ts";
import { isBlockFormat, isGroupedFormat, storageBytes, type WeightFormat } from "../tensor/storage.ts";
import type { CheckpointTensor, StoredWeight } from "./stored-weight.ts";

/** "rounded": to the nearest value of a narrower type. "requantised": blocks or the like to other blocks. */
export type StorageLoss = "none" | "rounded" | "quantised" | "requantised";

/** A type in the files, and what becomes of it. */
export interface Conversion {
  /** What the files call its type. */
  readonly encoding: string;
  /** In the files. */
  readonly bytes: number;
  /** What it is stored as. */
  readonly dtype: WeightFormat;
  /** As a plain matrix of `dtype`. */
  readonly storedBytes: number;
  /** What is lost on the way. */
  readonly loss: StorageLoss;
}

export interface TensorStorage extends Conversion {
  /** Its published name. */
  readonly tensor: string;
}

/** Of all tensors that go the same way. */
export interface StorageTotals extends Conversion {
  /** How many. */
  readonly tensors: number;
}

/** Of every tensor that the weights are made of. */
export function tensorStorage(
  tensors: ReadonlyMap<string, CheckpointTensor>,
  specs: readonly WeightSpec[],
): TensorStorage[] {
  return specs.flatMap(({ dtype, sources }) =>
    sources.flatMap((source) => {
      const tensor = tensors.get(source.tensor);
      if (!tensor || tensor.refusal !== undefined) return [];
      const { encoding, shape, bytes } = tensor;
      const { rows, cols } = sourceRectangle(source);
      const elements = shape.reduce((product, size) => product * size, 1);
      const share = (rows.count * cols.count) / Math.max(1, elements);
      const storedBytes = storageBytes(dtype, rows.count, cols.count);
      const loss = lossOf(tensor, dtype);
      return [{ tensor: source.tensor, encoding, bytes: bytes * share, dtype, storedBytes, loss }];
    }),
  );
}

/** Of a whole tensor that is stored as `dtype`. */
export function storageOf(tensor: StoredWeight, dtype: WeightFormat): TensorStorage {
  const { name, encoding, shape, bytes } = tensor;
  const [rows = 1, ...rest] = shape;
  const cols = rest.reduce((product, size) => product * size, 1);
  const storedBytes = storageBytes(dtype, rows, cols);
  return { tensor: name, encoding, bytes, dtype, storedBytes, loss: lossOf(tensor, dtype) };
}

function lossOf({ format, isDecoded, exact, shape, bytes }: StoredWeight, dtype: WeightFormat): StorageLoss {
  const isKept = dtype === format || (dtype === "q8" && fitsInto8Bits(format));
  if (exact) return isKept ? "rounded" : lossOf(exact, dtype);
  const [rows = 1, ...rest] = shape;
  const cols = rest.reduce((product, size) => product * size, 1);
  // F64 is rounded while it is read. Blocks may have more bytes in their files, as GPTQ's zero points, and lose nothing.
  const isPlain = !isDecoded && !isGroupedFormat(format);
  const isWider = isPlain && bytes > storageBytes(format, rows, cols);
  if (dtype === "f32" || isKept) return isWider ? "rounded" : "none";
  if (!isBlockFormat(dtype)) return "rounded";
  return isDecoded || isGroupedFormat(format) ? "requantised" : "quantised";
}

/** Most bytes first. */
export function storageTotals(rows: readonly TensorStorage[]): StorageTotals[] {
  const totals = new Map<string, StorageTotals>();
  for (const { encoding, dtype, loss, bytes, storedBytes } of rows) {
    const key = `${encoding} ${dtype} ${loss}`;
    const sum = totals.get(key) ?? { encoding, dtype, loss, tensors: 0, bytes: 0, storedBytes: 0 };
    totals.set(key, {
      ...sum,
      tensors: sum.tensors + 1,
      bytes: sum.bytes + bytes,
      storedBytes: sum.storedBytes + storedBytes,
    });
  }
  return [...totals.values()].sort((a, b) => b.bytes - a.bytes);
}
