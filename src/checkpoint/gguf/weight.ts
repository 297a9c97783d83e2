/** Tensors of a GGUF file as weights under Hugging Face's names: rows where they lie, in another order, or out of parts. */
import { storageBytes } from "../../tensor/storage.ts";
import type { CheckpointFiles } from "../files.ts";
import type { CheckpointTensor, StoredWeight } from "../stored-weight.ts";
import type { GgufTensor } from "./container.ts";
import { READABLE_TYPES } from "./tensor-types.ts";

/** A tensor and the folder that its file lies in. */
export interface SourceTensor extends GgufTensor {
  readonly files: CheckpointFiles;
}

/** Which rows of a tensor a weight is made of. */
export interface RowChoice {
  /** The weight's shape; default: the tensor's. Its rows have as many columns as those of the tensor. */
  readonly shape?: readonly number[];
  /** Of the tensor, its rows counted over all dimensions but the last ones that the weight has as columns. */
  readonly firstRow?: number;
  /** The order of rows within each group of so many; default: as they lie. */
  readonly order?: RowOrder;
}

export interface RowOrder {
  /** Rows that change places among themselves. */
  readonly group: number;
  /** Where row `row` of a group lies in it. */
  readonly source: (row: number) => number;
}

export function ggufTensor(tensor: SourceTensor, choice: RowChoice = {}): CheckpointTensor {
  const { name, encoding, file, type, files } = tensor;
  const { shape = tensor.shape, firstRow = 0, order } = choice;
  const [rows = 1, ...rest] = shape;
  const cols = rest.reduce((product, size) => product * size, 1);
  const elements = tensor.shape.reduce((product, size) => product * size, 1);
  const rowBytes = (tensor.bytes / elements) * cols;
  const offset = tensor.offset + firstRow * rowBytes;
  const facts = { name, shape, encoding, bytes: rows * rowBytes, file, offset };
  if (!type || !(type.format || type.decode)) {
    const what = type ? `type ${encoding}` : encoding;
    return { ...facts, refusal: `has ${what}; glimt reads ${READABLE_TYPES}` };
  }
  if (cols % type.blockElements !== 0) {
    const refusal = `has type ${encoding}, of whose blocks of ${type.blockElements} its rows of ${cols} are none`;
    return { ...facts, refusal };
  }
  const place = order && inOrder(order, rowBytes);
  return {
    ...facts,
    format: type.format ?? "f32",
    isDecoded: type.decode !== undefined,
    async readRows(first, count, into, signal) {
      if (!type.decode && !place) return files.readInto(file, offset + first * rowBytes, into, signal);
      const span = place?.span(first, count) ?? { first, count };
      const lying = new Uint8Array(span.count * rowBytes);
      await files.readInto(file, offset + span.first * rowBytes, lying, signal);
      const ordered = place ? place.pick(lying, span.first, first, count) : lying;
      if (type.decode) type.decode(ordered, float32(into));
      else into.set(ordered);
    },
  };
}

/** A weight whose rows are pieces of the rows of several tensors in turns: piece 0 of each, piece 1 of each, and so on. */
export function interleaved(
  parts: readonly StoredWeight[],
  shape: readonly number[],
  pieceElements: number,
): StoredWeight {
  const [firstPart] = parts as [StoredWeight];
  const { format } = firstPart;
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const cols = shape.slice(1).reduce((product, size) => product * size, 1);
  const piece = storageBytes(format, 1, pieceElements);
  const pieces = cols / pieceElements / parts.length;
  return {
    ...firstPart,
    shape,
    bytes,
    async readRows(first, count, into, signal) {
      const rows = new Uint8Array(count * pieces * piece);
      for (const [index, part] of parts.entries()) {
        await part.readRows(first, count, rows, signal);
        for (let i = 0; i < count * pieces; i++) {
          into.set(rows.subarray(i * piece, (i + 1) * piece), (i * parts.length + index) * piece);
        }
      }
    },
  };
}

function inOrder({ group, source }: RowOrder, rowBytes: number) {
  return {
    /** Whole groups around rows [first, first + count). */
    span(first: number, count: number) {
      const start = Math.floor(first / group) * group;
      return { first: start, count: Math.ceil((first + count) / group) * group - start };
    },
    /** Rows [first, first + count) out of `lying`, which begins with row `start`. */
    pick(lying: Uint8Array, start: number, first: number, count: number): Uint8Array {
      const rows = new Uint8Array(count * rowBytes);
      for (let i = 0; i < count; i++) {
        const row = first + i;
        const from = (Math.floor(row / group) * group + source(row % group) - start) * rowBytes;
        rows.set(lying.subarray(from, from + rowBytes), i * rowBytes);
      }
      return rows;
    },
  };
}

function float32({ buffer, byteOffset, length }: Uint8Array): Float32Array {
  return new Float32Array(buffer, byteOffset, length / Float32Array.BYTES_PER_ELEMENT);
}
