/** A tensor of a safetensors file that is a weight as it lies there, element by element. */
import { storageBytes } from "../tensor/storage.ts";
import type { CheckpointFiles } from "./files.ts";
import { type StoredTensor, WEIGHT_DTYPES, weightDType } from "./safetensors.ts";
import type { CheckpointTensor } from "./stored-weight.ts";

export function plainTensor(files: CheckpointFiles, stored: StoredTensor): CheckpointTensor {
  const { name, shape, dtype, bytes, file, offset } = stored;
  const facts = { name, shape, encoding: dtype, bytes, file, offset };
  const format = weightDType(dtype);
  if (!format) return { ...facts, refusal: `has dtype ${dtype}; glimt reads ${WEIGHT_DTYPES}` };
  const rowBytes = bytes / Math.max(1, shape[0] ?? 1);
  const read = dtype === "F64" ? readRounded : readHere;
  return {
    ...facts,
    format,
    isDecoded: false,
    readRows: (first, _, into, signal) => read(files, file, offset + first * rowBytes, into, signal),
  };
}

type ReadElements = (
  files: CheckpointFiles,
  file: string,
  offset: number,
  into: Uint8Array,
  signal: AbortSignal | undefined,
) => Promise<void>;

const readHere: ReadElements = (files, file, offset, into, signal) =>
  files.readInto(file, offset, into, signal);

/** F64 to f32. */
const readRounded: ReadElements = async (files, file, offset, into, signal) => {
  const values = new Float32Array(into.buffer, into.byteOffset, into.length / storageBytes("f32", 1, 1));
  const stored = new Float64Array(values.length);
  await files.readInto(file, offset, new Uint8Array(stored.buffer), signal);
  values.set(stored);
};
