/**
 * The safetensors format: 8 bytes of header length (little-endian), a JSON header { name: { dtype, shape,
 * data_offsets } }, then the data. Nothing in a header is believed before it has been held against the file's size.
 */
import { GlimtError } from "../errors.ts";
import { parseJson } from "../json/plain.ts";
import type { WeightDType } from "../tensor/dtype.ts";
import type { CheckpointFiles } from "./files.ts";
import { topLevelKeys } from "./json-keys.ts";
import { shownName, shownValue } from "./shown.ts";

/** Bytes of one element. What can be no weight (`weightDType`) may lie in a file unused. */
export const ELEMENT_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E5M2FNUZ: 1,
  F8_E4M3FNUZ: 1,
  F8_E8M0: 1,
  F4: 1 / 2,
  F6_E2M3: 3 / 4,
  F6_E3M2: 3 / 4,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  C64: 8,
  I64: 8,
  U64: 8,
} as const;

export type StoredDType = keyof typeof ELEMENT_BYTES;

/** The type as a weight, or null when it can not be one. F64 is rounded to f32 while it is read. */
export function weightDType(stored: StoredDType): WeightDType | null {
  switch (stored) {
    case "F32":
    case "F64":
      return "f32";
    case "BF16":
      return "bf16";
    case "F16":
      return "f16";
    default:
      return null;
  }
}

/** For messages. */
export const WEIGHT_DTYPES = "BF16, F16, F32 and F64";

export interface StoredTensor {
  /** As spelled in the file. */
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly file: string;
  /** Position of the first byte in the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** The limit of the reference implementation. */
const MAX_HEADER = 100_000_000;
const LENGTH_BYTES = 8;
const LFS_POINTER = "version ";

/** Reads and checks one file's header. @throws CHECKPOINT_INVALID naming file and tensor. */
export async function readSafetensorsHeader(
  files: CheckpointFiles,
  file: string,
  fileSize: number,
  signal?: AbortSignal,
): Promise<StoredTensor[]> {
  const invalid = (what: string) =>
    new GlimtError("CHECKPOINT_INVALID", `${file} in ${files.location}: ${what}`);
  if (fileSize < LENGTH_BYTES) throw invalid(`${fileSize} bytes are too few for a safetensors file.`);
  const start = new Uint8Array(LENGTH_BYTES);
  await files.readInto(file, 0, start, signal);
  if (new TextDecoder().decode(start) === LFS_POINTER) {
    throw invalid("this is a Git LFS pointer, not the weights; fetch them with `git lfs pull`.");
  }
  const headerBytes = Number(new DataView(start.buffer).getBigUint64(0, true));
  if (headerBytes > fileSize - LENGTH_BYTES) {
    throw invalid(`the header claims ${headerBytes} bytes, but the file has ${fileSize}: it is truncated.`);
  }
  if (headerBytes > MAX_HEADER) throw invalid(`the header of ${headerBytes} bytes exceeds ${MAX_HEADER}.`);
  const header = new Uint8Array(headerBytes);
  await files.readInto(file, LENGTH_BYTES, header, signal);
  return parseHeader(header, file, fileSize - LENGTH_BYTES - headerBytes, invalid);
}

type Invalid = (what: string) => GlimtError;

function parseHeader(header: Uint8Array, file: string, dataBytes: number, invalid: Invalid): StoredTensor[] {
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(header);
    json = parseJson(text);
  } catch (cause) {
    throw invalid(`the header is not valid JSON (${(cause as Error).message}).`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw invalid("the header is not a JSON object.");
  }
  const seen = new Set<string>();
  for (const key of topLevelKeys(text)) {
    if (seen.has(key)) throw invalid(`tensor "${shownName(key)}" is listed twice.`);
    seen.add(key);
  }
  const dataStart = LENGTH_BYTES + header.length;
  const tensors = Object.entries(json)
    .filter(([name]) => name !== "__metadata__")
    .map(([name, entry]) => parseEntry(name, entry, file, dataStart, invalid));
  checkCoverage(tensors, dataStart, dataBytes, invalid);
  return tensors;
}

function parseEntry(
  name: string,
  entry: unknown,
  file: string,
  dataStart: number,
  invalid: Invalid,
): StoredTensor {
  const wrong = (what: string) => invalid(`tensor "${shownName(name)}": ${what}`);
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(ELEMENT_BYTES, dtype)) {
    throw wrong(`unknown dtype ${shownValue(dtype)}.`);
  }
  if (!isNaturals(shape)) throw wrong(`shape ${shownValue(shape)} is not a list of sizes.`);
  if (!isNaturals(offsets) || offsets.length !== 2 || (offsets[0] as number) > (offsets[1] as number)) {
    throw wrong(`data_offsets ${shownValue(offsets)} are not [begin, end].`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = shape.reduce((product, size) => product * size, ELEMENT_BYTES[dtype as StoredDType]);
  if (expected !== end - begin) {
    throw wrong(`${dtype} ${shownValue(shape)} takes ${expected} bytes, data_offsets give ${end - begin}.`);
  }
  return {
    name,
    dtype: dtype as StoredDType,
    shape,
    file,
    offset: dataStart + begin,
    bytes: expected,
  };
}

/** The format allows no overlap and no hole: sorted, the tensors tile the data exactly. */
function checkCoverage(
  tensors: readonly StoredTensor[],
  dataStart: number,
  dataBytes: number,
  invalid: Invalid,
): void {
  const fileEnd = dataStart + dataBytes;
  const beyond = tensors.find(({ offset, bytes }) => offset + bytes > fileEnd);
  if (beyond) {
    const end = beyond.offset + beyond.bytes;
    throw invalid(
      `tensor "${shownName(beyond.name)}" ends at byte ${end}, but the file has ${fileEnd}: it is truncated or its header lies.`,
    );
  }
  let position = dataStart;
  for (const { name, offset, bytes } of tensors.toSorted(
    (a, b) => a.offset - b.offset || a.bytes - b.bytes,
  )) {
    if (offset < position) throw invalid(`tensor "${shownName(name)}" overlaps another one.`);
    if (offset > position)
      throw invalid(`${offset - position} bytes before tensor "${shownName(name)}" belong to none.`);
    position = offset + bytes;
  }
  if (position !== fileEnd) throw invalid(`the last ${fileEnd - position} bytes belong to no tensor.`);
}

function isNaturals(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}
