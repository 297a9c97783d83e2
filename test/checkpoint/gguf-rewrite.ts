/** A GGUF file taken apart and put together again, with other keys and tensors; it may lie then. */
import { Bytes } from "./gguf-fixtures.ts";

/** The bytes of a value as they lie in the file, behind its type. */
export interface RawValue {
  readonly type: number;
  readonly bytes: Uint8Array;
}

export interface RawTensor {
  name: string;
  /** ggml's: the contiguous one first. */
  dims: bigint[];
  type: number;
  readonly offset: bigint;
  data: Uint8Array;
}

export interface RawGguf {
  readonly keys: Map<string, RawValue>;
  tensors: RawTensor[];
}

const STRING = 8;
const LIST = 9;
const SCALAR_BYTES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};
const ALIGNMENT = 32;

/** Of a file that is in order. */
export function takeApart(file: Uint8Array): RawGguf {
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  let at = 8;
  const taken = (bytes: number) => {
    at += bytes;
    return at - bytes;
  };
  const u32 = () => view.getUint32(taken(4), true);
  const u64 = () => view.getBigUint64(taken(8), true);
  const string = () => {
    const length = Number(u64());
    const start = taken(length);
    return new TextDecoder().decode(file.subarray(start, start + length));
  };
  const skip = (type: number): void => {
    if (type === STRING) string();
    else if (type === LIST) {
      const item = u32();
      for (let left = Number(u64()); left > 0; left--) skip(item);
    } else taken(SCALAR_BYTES[type] as number);
  };
  const numTensors = Number(u64());
  const numKeys = Number(u64());
  const keys = new Map<string, RawValue>();
  for (let i = 0; i < numKeys; i++) {
    const key = string();
    const type = u32();
    const start = at;
    skip(type);
    keys.set(key, { type, bytes: file.slice(start, at) });
  }
  const listed = Array.from({ length: numTensors }, () => {
    const name = string();
    const dims = Array.from({ length: u32() }, u64);
    return { name, dims, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / ALIGNMENT) * ALIGNMENT;
  const borders = [...listed.map(({ offset }) => Number(offset)), file.length - start].sort((a, b) => a - b);
  const tensors = listed.map((tensor) => {
    const from = Number(tensor.offset);
    const to = borders.find((border) => border > from) ?? from;
    return { ...tensor, data: file.slice(start + from, start + to) };
  });
  return { keys, tensors };
}

export function putTogether({ keys, tensors }: RawGguf): Uint8Array<ArrayBuffer> {
  const head = new Bytes().u32(0x46554747).u32(3).u64(tensors.length).u64(keys.size);
  for (const [key, { type, bytes }] of keys) head.string(key).u32(type).add(bytes);
  let offset = 0;
  for (const { name, dims, type, data } of tensors) {
    head.string(name).u32(dims.length);
    for (const size of dims) head.u64(size);
    head.u32(type).u64(offset);
    offset += padded(data.length);
  }
  const start = padded(head.length);
  const file = new Uint8Array(start + offset);
  file.set(head.done());
  let at = start;
  for (const { data } of tensors) {
    file.set(data, at);
    at += padded(data.length);
  }
  return file;
}

const padded = (length: number) => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

export const value = {
  u32: (number: number): RawValue => ({ type: 4, bytes: new Bytes().u32(number).done() }),
  text: (text: string): RawValue => ({ type: STRING, bytes: new Bytes().string(text).done() }),
  /** Bytes, each a number of the list. */
  bytes: (bytes: Uint8Array): RawValue => ({
    type: LIST,
    bytes: Uint8Array.from([...new Bytes().u32(0).u64(bytes.length).done(), ...bytes]),
  }),
  u32s: (numbers: readonly number[]): RawValue => {
    const list = new Bytes().u32(4).u64(numbers.length);
    for (const number of numbers) list.u32(number);
    return { type: LIST, bytes: list.done() };
  },
};
