/**
 * The container of a GGUF file: keys with values, then the list of tensors, then their data at multiples of an alignment.
 * All numbers are little-endian. No count or size is believed before it has been held against the file's size.
 */
import { GlimtError } from "../../errors.ts";
import type { CheckpointFiles } from "../files.ts";
import { shownName, shownValue } from "../shown.ts";
import { HeaderReader } from "./header-reader.ts";
import { TENSOR_TYPES, type TensorType } from "./tensor-types.ts";

/** Numbers of more than 53 bits are rounded; lists of numbers are typed arrays, but those of 64 bits and of booleans. */
export type GgufValue = number | boolean | string | GgufList;
export type GgufList = readonly (number | boolean | string | GgufList)[] | ArrayLike<number>;

export interface GgufTensor {
  readonly name: string;
  /** The contiguous dimension last, as Hugging Face writes shapes. */
  readonly shape: readonly number[];
  /** Null for a number that this version of glimt does not know. */
  readonly type: TensorType | null;
  /** What the file calls the type. */
  readonly encoding: string;
  readonly file: string;
  /** Position of the first byte in the file. */
  readonly offset: number;
  /** 0 for an unknown type. */
  readonly bytes: number;
}

export interface GgufFile {
  readonly name: string;
  readonly bytes: number;
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly tensors: readonly GgufTensor[];
}

const MAGIC = 0x46554747;
/** Version 2 differs in nothing that is read here. */
const VERSIONS = [2, 3];
const DEFAULT_ALIGNMENT = 32;
const MOST_ALIGNMENT = 1 << 20;
/** ggml's own limit. */
const MOST_DIMENSIONS = 4;
/** A key: its name's length, its type and the least of values. A tensor: name, dimensions, type, offset. */
const LEAST_KEY_BYTES = 8 + 4 + 1;
const LEAST_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8;

/** Reads and checks all but the tensors' data. @throws CHECKPOINT_INVALID naming the file, and key or tensor */
export async function readGguf(
  files: CheckpointFiles,
  name: string,
  fileSize: number,
  signal?: AbortSignal,
): Promise<GgufFile> {
  const invalid = (what: string) =>
    new GlimtError("CHECKPOINT_INVALID", `${name} in ${files.location}: ${what}`);
  const header = new HeaderReader(files, name, fileSize, invalid, signal);
  if ((await header.u32()) !== MAGIC) throw invalid("this is no GGUF file.");
  const version = await header.u32();
  if (!VERSIONS.includes(version)) {
    const big = version > 0xffff ? ", or a file for big-endian machines" : "";
    throw invalid(`GGUF version ${version}${big}; glimt reads version 3, little-endian.`);
  }
  const tensorCount = await header.count(LEAST_TENSOR_BYTES, "tensors");
  const keyCount = await header.count(LEAST_KEY_BYTES, "keys");
  const values = new Map<string, GgufValue>();
  for (let i = 0; i < keyCount; i++) {
    const key = await header.string();
    if (values.has(key)) throw invalid(`the key "${shownName(key)}" is there twice.`);
    values.set(key, await header.value(key));
  }
  const listed: Listed[] = [];
  for (let i = 0; i < tensorCount; i++) listed.push(await readTensor(header, invalid));
  const alignment = alignmentOf(values, invalid);
  const dataStart = Math.ceil(header.position / alignment) * alignment;
  const tensors = listed.map((tensor) => placed(tensor, { name, dataStart, alignment, fileSize }, invalid));
  checkApart(tensors, invalid);
  return { name, bytes: fileSize, values, tensors };
}

type Invalid = (what: string) => GlimtError;

interface Listed {
  readonly name: string;
  readonly shape: readonly number[];
  readonly typeCode: number;
  readonly offset: number;
}

async function readTensor(header: HeaderReader, invalid: Invalid): Promise<Listed> {
  const name = await header.string();
  const wrong = (what: string) => invalid(`tensor "${shownName(name)}" ${what}.`);
  const dimensions = await header.u32();
  if (dimensions < 1 || dimensions > MOST_DIMENSIONS) throw wrong(`has ${dimensions} dimensions`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(await header.u64());
  const elements = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(elements) || elements < 1) throw wrong(`has shape [${shape.join(", ")}]`);
  const typeCode = await header.u32();
  return { name, shape, typeCode, offset: await header.u64() };
}

interface Place {
  readonly name: string;
  readonly dataStart: number;
  readonly alignment: number;
  readonly fileSize: number;
}

function placed(
  { name, shape, typeCode, offset }: Listed,
  { name: file, dataStart, alignment, fileSize }: Place,
  invalid: Invalid,
): GgufTensor {
  const wrong = (what: string) => invalid(`tensor "${shownName(name)}" ${what}.`);
  if (offset % alignment !== 0) throw wrong(`begins at ${offset}, which is no multiple of ${alignment}`);
  const type = TENSOR_TYPES.get(typeCode) ?? null;
  const at = { name, shape, type, file, offset: dataStart + offset };
  if (!type) return { ...at, encoding: `GGUF type ${typeCode}`, bytes: 0 };
  const cols = shape.at(-1) as number;
  if (cols % type.blockElements !== 0) {
    throw wrong(
      `has rows of ${cols} elements, which are no whole blocks of ${type.blockElements} (${type.name})`,
    );
  }
  const elements = shape.reduce((product, size) => product * size, 1);
  const bytes = (elements / type.blockElements) * type.blockBytes;
  if (!Number.isSafeInteger(bytes) || at.offset + bytes > fileSize) {
    const end = at.offset + bytes;
    throw wrong(`ends at byte ${end}, but the file has ${fileSize}: it is truncated or its header lies`);
  }
  return { ...at, encoding: type.name, bytes };
}

function checkApart(tensors: readonly GgufTensor[], invalid: Invalid): void {
  const names = new Set<string>();
  let end = 0;
  for (const { name, offset, bytes } of tensors.toSorted((a, b) => a.offset - b.offset)) {
    if (names.has(name)) throw invalid(`tensor "${shownName(name)}" is listed twice.`);
    names.add(name);
    if (offset < end) throw invalid(`tensor "${shownName(name)}" overlaps another one.`);
    end = offset + bytes;
  }
}

function alignmentOf(values: ReadonlyMap<string, GgufValue>, invalid: Invalid): number {
  const alignment = values.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  const isPower = typeof alignment === "number" && Number.isInteger(Math.log2(alignment));
  if (isPower && alignment >= 1 && alignment <= MOST_ALIGNMENT) return alignment;
  const found = typeof alignment === "object" ? "a list" : shownValue(alignment);
  throw invalid(`general.alignment is ${found}, expected a power of two up to ${MOST_ALIGNMENT}.`);
}
