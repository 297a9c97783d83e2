/**
 * Program <-> bytes. Everything is 32-bit little-endian words:
 * header, symbols, buffers, tensors, instructions, then a UTF-8 string section that names point into.
 */
import { GlimtError } from "../errors.ts";
import type { AttrSpec } from "../graph/op-definition.ts";
import { OPS, type OpName, opByCode } from "../graph/ops.ts";
import type { Dim } from "../tensor/dims.ts";
import { DTYPES, type TensorDType } from "../tensor/dtype.ts";
import { formatCode, STORAGE_FORMATS, WEIGHT_LAYOUTS } from "../tensor/storage.ts";
import { BUFFER_KINDS, PROGRAM_VERSION, type ProgramBuffer } from "./program.ts";
import { type VerifiedProgram, verifyProgram } from "./verify-program.ts";

export const PROGRAM_MAGIC = 0x504d4c47; // "GLMP"
/** magic, version, total words before strings, string bytes, name, symbols, buffers, tensors, instructions, slots, activation */
export const HEADER_WORDS = 11;
export const SYMBOL_WORDS = 2;
export const DIM_WORDS = 4;
export const BUFFER_WORDS = 6 + 2 * DIM_WORDS;
export const TENSOR_WORDS = 3 + 2 * DIM_WORDS;
/** op, inputs, outputs, attrs, scope offset, scope length; then the operand indices and attribute words follow. */
export const INSTRUCTION_WORDS = 6;
/** Symbol index of a constant dimension: the value is its `add`. */
export const NO_SYMBOL = 0xffffffff;

export function encodeProgram(program: VerifiedProgram): Uint8Array {
  const words: number[] = [];
  const strings = new StringSection();
  const push = (...values: number[]) => words.push(...values.map((value) => value >>> 0));
  const pushDim = (dim: Dim) => {
    if (typeof dim === "number") return push(NO_SYMBOL, 0, 1, dim);
    push(program.symbols.indexOf(dim.symbol), dim.num, dim.den, dim.add);
  };
  const floatBits = new DataView(new ArrayBuffer(4));
  const attrWord = (spec: AttrSpec, value: number) => {
    if (spec !== "f32") return value;
    floatBits.setFloat32(0, value);
    return floatBits.getUint32(0);
  };

  const nameOffset = strings.add(program.name)[0];
  push(PROGRAM_MAGIC, PROGRAM_VERSION, 0, 0, nameOffset);
  push(program.symbols.length, program.buffers.length, program.tensors.length, program.instructions.length);
  push(program.slotCount, formatCode(program.activation));
  for (const symbol of program.symbols) push(...strings.add(symbol));
  for (const buffer of program.buffers) {
    push(BUFFER_KINDS.indexOf(buffer.kind), WEIGHT_LAYOUTS.indexOf(buffer.layout), formatCode(buffer.dtype));
    push(buffer.slot, ...strings.add(buffer.name));
    pushDim(buffer.rows);
    pushDim(buffer.cols);
  }
  for (const tensor of program.tensors) {
    push(tensor.buffer, tensor.colOffset, tensor.rowStride);
    pushDim(tensor.rows);
    pushDim(tensor.cols);
  }
  for (const { op, inputs, outputs, attrs, scope } of program.instructions) {
    const specs = Object.values(OPS[op].attrs) as AttrSpec[];
    push(OPS[op].code, inputs.length, outputs.length, attrs.length, ...strings.add(scope));
    push(...inputs, ...outputs, ...attrs.map((value, index) => attrWord(specs[index] as AttrSpec, value)));
  }

  const text = strings.bytes();
  words[2] = words.length;
  words[3] = text.length;
  const bytes = new Uint8Array(words.length * 4 + text.length);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => {
    view.setUint32(index * 4, word, true);
  });
  bytes.set(text, words.length * 4);
  return bytes;
}

/**
 * The program in `bytes`, without its weight specs.
 * @throws PROGRAM_INVALID when the bytes are of another version or truncated, or the program breaks a rule.
 */
export function decodeProgram(bytes: Uint8Array): VerifiedProgram {
  const reader = new WordReader(bytes);
  if (reader.u32() !== PROGRAM_MAGIC) throw invalid("these bytes are no program");
  const version = reader.u32();
  if (version !== PROGRAM_VERSION) {
    throw invalid(`version ${version} can not be read, only ${PROGRAM_VERSION}; recompile the graph`);
  }
  reader.limit(reader.u32(), reader.u32());
  const name = reader.string(reader.u32(), null);
  const [symbolCount, bufferCount, tensorCount, instructionCount] = [
    reader.u32(),
    reader.u32(),
    reader.u32(),
    reader.u32(),
  ];
  const slotCount = reader.u32();
  const activation = at(DTYPES, reader.u32(), "dtype");
  const symbols = repeat(symbolCount, () => reader.string(reader.u32(), reader.u32()));
  const readDim = (): Dim => {
    const [symbol, num, den, add] = [reader.u32(), reader.u32(), reader.u32(), reader.i32()];
    return symbol === NO_SYMBOL ? add : { symbol: at(symbols, symbol, "symbol"), num, den, add };
  };
  const buffers = repeat(bufferCount, (): ProgramBuffer => {
    const kind = at(BUFFER_KINDS, reader.u32(), "buffer kind");
    const layout = at(WEIGHT_LAYOUTS, reader.u32(), "layout");
    const dtype = at(STORAGE_FORMATS, reader.u32(), "dtype");
    const place = {
      layout,
      slot: reader.i32(),
      name: reader.string(reader.u32(), reader.u32()),
      rows: readDim(),
      cols: readDim(),
    };
    // Which of them a kind may have, `verifyProgram` looks at.
    return kind === "weight" ? { ...place, kind, dtype } : { ...place, kind, dtype: dtype as TensorDType };
  });
  const tensors = repeat(tensorCount, () => {
    const [buffer, colOffset, rowStride] = [reader.u32(), reader.u32(), reader.u32()];
    at(buffers, buffer, "buffer");
    return { buffer, colOffset, rowStride, rows: readDim(), cols: readDim() };
  });
  const instructions = repeat(instructionCount, () => {
    const op = opByCode(reader.u32());
    if (!op) throw invalid("an instruction has an unknown op");
    const [inputCount, outputCount, attrCount] = [reader.u32(), reader.u32(), reader.u32()];
    const scope = reader.string(reader.u32(), reader.u32());
    const operand = () => {
      const index = reader.u32();
      at(tensors, index, "tensor");
      return index;
    };
    const inputs = repeat(inputCount, operand);
    const outputs = repeat(outputCount, operand);
    return { op, inputs, outputs, attrs: readAttrs(op, attrCount, reader), scope };
  });
  return verifyProgram({
    name,
    activation,
    symbols,
    buffers,
    tensors,
    instructions,
    slotCount,
    weights: [],
  });
}

function readAttrs(op: OpName, count: number, reader: WordReader): number[] {
  const specs = Object.values(OPS[op].attrs) as AttrSpec[];
  if (specs.length !== count) throw invalid(`${op} has ${count} attributes, expected ${specs.length}`);
  return specs.map((spec) => (spec === "f32" ? reader.f32() : reader.u32()));
}

class StringSection {
  readonly #encoder = new TextEncoder();
  readonly #known = new Map<string, [offset: number, length: number]>();
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  /** Offset and length in bytes; each string is zero-terminated too. */
  add(text: string): [offset: number, length: number] {
    const known = this.#known.get(text);
    if (known) return known;
    const part = this.#encoder.encode(`${text}\0`);
    const place: [number, number] = [this.#length, part.length - 1];
    this.#known.set(text, place);
    this.#parts.push(part);
    this.#length += part.length;
    return place;
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      all.set(part, offset);
      offset += part.length;
    }
    return all;
  }
}

class WordReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;
  #words: number;
  #strings = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#words = Math.floor(bytes.byteLength / 4);
  }

  limit(words: number, stringBytes: number): void {
    if (words * 4 + stringBytes !== this.#bytes.byteLength)
      throw invalid("the length does not match the header");
    this.#words = words;
    this.#strings = words * 4;
  }

  u32(): number {
    if (this.#position >= this.#words) throw invalid("the bytes end too early");
    return this.#view.getUint32(4 * this.#position++, true);
  }

  i32(): number {
    return this.u32() | 0;
  }

  f32(): number {
    this.u32();
    return this.#view.getFloat32(4 * (this.#position - 1), true);
  }

  string(offset: number, length: number | null): string {
    const start = this.#strings + offset;
    const end = length === null ? this.#bytes.indexOf(0, start) : start + length;
    if (end < start || end > this.#bytes.byteLength) throw invalid("a name lies outside the string section");
    return new TextDecoder().decode(this.#bytes.subarray(start, end));
  }
}

function repeat<T>(count: number, read: () => T): T[] {
  const items: T[] = [];
  for (let index = 0; index < count; index++) items.push(read());
  return items;
}

function at<T>(list: readonly T[], index: number, what: string): T {
  if (index >= list.length) throw invalid(`${what} ${index} does not exist`);
  return list[index] as T;
}

function invalid(reason: string): GlimtError {
  return new GlimtError("PROGRAM_INVALID", `Program: ${reason}.`);
}
