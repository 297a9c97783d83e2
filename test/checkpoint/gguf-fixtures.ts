/** GGUF files in memory, which may lie. */

/** Of keys: types are by the value, or given. */
export type ValueFixture =
  | string
  | boolean
  | number
  | readonly string[]
  | { readonly type: number; readonly bytes: Uint8Array };

export interface GgufTensorFixture {
  /** ggml's dimensions: the contiguous one first. */
  readonly dims: readonly number[];
  readonly type: number;
  readonly data: Uint8Array;
  /** In place of where the data is. */
  readonly offset?: number;
}

export interface GgufOverrides {
  readonly magic?: number;
  readonly version?: number;
  readonly tensorCount?: bigint;
  readonly keyCount?: bigint;
}

const U32 = 4;
const FLOAT = 6;
const BOOL = 7;
const STRING = 8;
const LIST = 9;
const ALIGNMENT = 32;

export class Bytes {
  readonly #parts: number[] = [];

  get length(): number {
    return this.#parts.length;
  }

  add(bytes: Iterable<number>): this {
    for (const byte of bytes) this.#parts.push(byte);
    return this;
  }

  u32(value: number): this {
    return this.add(new Uint8Array(new Uint32Array([value]).buffer));
  }

  u64(value: bigint | number): this {
    return this.add(new Uint8Array(new BigUint64Array([BigInt(value)]).buffer));
  }

  f32(value: number): this {
    return this.add(new Uint8Array(new Float32Array([value]).buffer));
  }

  string(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u64(bytes.length).add(bytes);
  }

  done(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#parts);
  }
}

/** Whole numbers are u32, others f32. */
function addValue(bytes: Bytes, value: ValueFixture): void {
  if (typeof value === "string") bytes.u32(STRING).string(value);
  else if (typeof value === "boolean") bytes.u32(BOOL).add([Number(value)]);
  else if (typeof value === "number") {
    if (Number.isInteger(value)) bytes.u32(U32).u32(value);
    else bytes.u32(FLOAT).f32(value);
  } else if (Array.isArray(value)) {
    bytes.u32(LIST).u32(STRING).u64(value.length);
    for (const text of value as readonly string[]) bytes.string(text);
  } else {
    const { type, bytes: given } = value as { type: number; bytes: Uint8Array };
    bytes.u32(type).add(given);
  }
}

export function gguf(
  values: Readonly<Record<string, ValueFixture>>,
  tensors: Readonly<Record<string, GgufTensorFixture>> = {},
  { magic = 0x46554747, version = 3, tensorCount, keyCount }: GgufOverrides = {},
): Uint8Array<ArrayBuffer> {
  const bytes = new Bytes().u32(magic).u32(version);
  bytes.u64(tensorCount ?? Object.keys(tensors).length).u64(keyCount ?? Object.keys(values).length);
  for (const [key, value] of Object.entries(values)) {
    bytes.string(key);
    addValue(bytes, value);
  }
  let offset = 0;
  for (const [name, tensor] of Object.entries(tensors)) {
    bytes.string(name).u32(tensor.dims.length);
    for (const size of tensor.dims) bytes.u64(size);
    bytes.u32(tensor.type).u64(tensor.offset ?? offset);
    offset += padded(tensor.data.length);
  }
  if (Object.keys(tensors).length > 0) pad(bytes);
  for (const { data } of Object.values(tensors)) pad(bytes.add(data));
  return bytes.done();
}

const padded = (length: number) => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

function pad(bytes: Bytes): void {
  bytes.add(new Uint8Array(padded(bytes.length) - bytes.length));
}
