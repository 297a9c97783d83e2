/** What a program declares before its instructions: symbols, buffers with their slots, tensors inside buffers. */
import { GlimtError } from "../errors.ts";
import { type Dim, dimsEqual, formatShape } from "../tensor/dims.ts";
import { CACHE_DTYPES, DTYPES } from "../tensor/dtype.ts";
import {
  blockCols,
  holdsColumns,
  isGroupedFormat,
  STORAGE_FORMATS,
  type StorageFormat,
  WEIGHT_LAYOUTS,
} from "../tensor/storage.ts";
import {
  BUFFER_KINDS,
  type BufferKind,
  type Program,
  type ProgramBuffer,
  type ProgramTensor,
} from "./program.ts";

/** Sizes travel as 32-bit words, and kernels count in signed ones. */
const SIZE_LIMIT = 2 ** 31;

/** @throws PROGRAM_INVALID naming the buffer or tensor. */
export function verifyDeclarations(program: Program): void {
  const fail = (message: string): never => {
    throw new GlimtError("PROGRAM_INVALID", `${program.name}: ${message}.`);
  };
  const { symbols, buffers, tensors, slotCount, activation } = program;
  if (new Set(symbols).size !== symbols.length) fail("a symbol is declared twice");
  if (!DTYPES.includes(activation) || activation === "i32") fail(`there are no activations of ${activation}`);
  // A slot without a buffer would be memory that nobody uses.
  if (!isSize(slotCount) || slotCount > buffers.length) fail(`it can not have ${slotCount} slots`);
  const names = new Set<string>();
  for (const buffer of buffers) {
    const complaint = bufferComplaint(buffer, program);
    if (complaint) fail(`${buffer.kind} "${buffer.name}" ${complaint}`);
    if (buffer.kind === "temporary") continue;
    if (names.has(buffer.name)) fail(`"${buffer.name}" is declared twice`);
    names.add(buffer.name);
  }
  tensors.forEach((tensor, index) => {
    const complaint = tensorComplaint(tensor, program);
    if (complaint) fail(`tensor ${index} ${complaint}`);
  });
}

function bufferComplaint(buffer: ProgramBuffer, { symbols, slotCount }: Program): string | null {
  const { kind, layout, dtype, rows, cols, slot } = buffer;
  if (!BUFFER_KINDS.includes(kind)) return "is of no known kind";
  if (!WEIGHT_LAYOUTS.includes(layout)) return `has no known layout (${layout})`;
  if (!formatsOf(kind).includes(dtype)) return `has no known dtype (${dtype})`;
  const bad = [rows, cols].map((dim) => dimComplaint(dim, symbols)).find(Boolean);
  if (bad) return bad;
  if (kind === "weight" && (typeof rows !== "number" || typeof cols !== "number")) {
    return `is ${formatShape([rows, cols])}, and a weight has one size`;
  }
  if (typeof cols === "number" && isGroupedFormat(dtype) && !holdsColumns(dtype, cols)) {
    return `has ${cols} columns, and ${dtype} has whole blocks of ${blockCols(dtype)}`;
  }
  if (kind !== "weight" && layout !== "plain") return `lies in ${layout}, which only weights do`;
  if (layout === "split" && !isGroupedFormat(dtype)) return `lies in split, and ${dtype} has no blocks`;
  if (kind !== "temporary") return slot === -1 ? null : `has slot ${slot}, which only temporaries have`;
  return Number.isInteger(slot) && slot >= 0 && slot < slotCount
    ? null
    : `has slot ${slot} of ${slotCount}, which does not exist`;
}

function formatsOf(kind: BufferKind): readonly StorageFormat[] {
  if (kind === "weight") return STORAGE_FORMATS;
  return kind === "state" ? [...DTYPES, ...CACHE_DTYPES] : DTYPES;
}

function tensorComplaint(tensor: ProgramTensor, { buffers, symbols }: Program): string | null {
  const { rows, cols, colOffset, rowStride } = tensor;
  const buffer = buffers[tensor.buffer];
  if (!buffer) return `lies in buffer ${tensor.buffer}, which does not exist`;
  const bad = [rows, cols].map((dim) => dimComplaint(dim, symbols)).find(Boolean);
  if (bad) return bad;
  if (!isSize(colOffset) || !isSize(rowStride)) return `has offset ${colOffset} and stride ${rowStride}`;
  if (isGroupedFormat(buffer.dtype) && !isWhole(tensor, buffer)) {
    return `is a part of ${buffer.kind} "${buffer.name}", and ${buffer.dtype} is used whole`;
  }
  return liesInside(tensor, buffer) ? null : `may reach outside ${buffer.kind} "${buffer.name}"`;
}

function dimComplaint(dim: Dim, symbols: readonly string[]): string | null {
  if (typeof dim === "number") return isSize(dim) ? null : `has the dimension ${dim}`;
  if (!symbols.includes(dim.symbol)) return `has the symbol "${dim.symbol}", which is not declared`;
  const fits =
    isSize(dim.num) &&
    isSize(dim.den) &&
    dim.den > 0 &&
    Number.isInteger(dim.add) &&
    Math.abs(dim.add) < SIZE_LIMIT;
  return fits ? null : `has the dimension ${dim.symbol}*${dim.num}/${dim.den}+${dim.add}`;
}

function isWhole({ rows, cols, colOffset, rowStride }: ProgramTensor, buffer: ProgramBuffer): boolean {
  const isContiguous = colOffset === 0 && (rowStride === 0 || rowStride === cols);
  return isContiguous && dimsEqual(rows, buffer.rows) && dimsEqual(cols, buffer.cols);
}

/** Whether it does for every value of the symbols. */
function liesInside(tensor: ProgramTensor, buffer: ProgramBuffer): boolean {
  const { rows, cols, colOffset, rowStride } = tensor;
  if (isWhole(tensor, buffer)) return true;
  if (typeof cols !== "number") return false;
  const stride = rowStride || cols;
  return colOffset + cols <= stride && atMost(product(rows, stride), product(buffer.rows, buffer.cols));
}

/** slope * symbol + constant */
interface Affine {
  readonly symbol: string | null;
  readonly slope: number;
  readonly constant: number;
}

function affine(dim: Dim): Affine {
  if (typeof dim === "number") return { symbol: null, slope: 0, constant: dim };
  return { symbol: dim.symbol, slope: dim.num / dim.den, constant: dim.add };
}

/** Null when both depend on symbols. */
function product(a: Dim, b: Dim): Affine | null {
  const [factor, other] = typeof a === "number" ? [a, b] : [b, a];
  if (typeof factor !== "number") return null;
  const { symbol, slope, constant } = affine(other);
  return { symbol, slope: slope * factor, constant: constant * factor };
}

function atMost(a: Affine | null, b: Affine | null): boolean {
  if (!a || !b) return false;
  if (a.symbol !== null && a.symbol !== b.symbol) return false;
  return a.slope <= b.slope && a.constant <= b.constant;
}

function isSize(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < SIZE_LIMIT;
}
