/**
 * Dimensions that are numbers or affine in one named symbol: `tokens`, `patches/4`, `sequences+1`.
 * One graph with such dimensions serves every input size; a run supplies the symbols' values.
 */
import { GlimtError } from "../errors.ts";

export interface SymbolicDim {
  readonly symbol: string;
  /** value = symbol * num / den + add */
  readonly num: number;
  readonly den: number;
  readonly add: number;
}

export type Dim = number | SymbolicDim;
export type Shape = readonly Dim[];
export type SymbolValues = Readonly<Record<string, number>>;

export function symbolDim(symbol: string): SymbolicDim {
  return { symbol, num: 1, den: 1, add: 0 };
}

/** `dim * factor`, for an integer factor. */
export function scaleDim(dim: Dim, factor: number): Dim {
  if (typeof dim === "number") return dim * factor;
  return reduced({ ...dim, num: dim.num * factor, add: dim.add * factor });
}

/** `dim / divisor`; a number must divide exactly, a symbol is checked when its value is known. */
export function divideDim(dim: Dim, divisor: number): Dim {
  if (typeof dim === "number") {
    if (dim % divisor !== 0) throw new GlimtError("GRAPH_INVALID", `${dim} is not a multiple of ${divisor}.`);
    return dim / divisor;
  }
  if (dim.add % divisor !== 0) {
    throw new GlimtError("GRAPH_INVALID", `${formatDim(dim)} is not a multiple of ${divisor}.`);
  }
  return reduced({ ...dim, den: dim.den * divisor, add: dim.add / divisor });
}

export function offsetDim(dim: Dim, add: number): Dim {
  return typeof dim === "number" ? dim + add : { ...dim, add: dim.add + add };
}

export function dimsEqual(a: Dim, b: Dim): boolean {
  if (typeof a === "number" || typeof b === "number") return a === b;
  return a.symbol === b.symbol && a.num === b.num && a.den === b.den && a.add === b.add;
}

export function shapesEqual(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, axis) => dimsEqual(dim, b[axis] as Dim));
}

/** The dimension's value; a missing symbol, a fraction or a negative result is an error. */
export function evaluateDim(dim: Dim, symbols: SymbolValues): number {
  if (typeof dim === "number") return dim;
  const value = symbols[dim.symbol];
  if (value === undefined) throw new GlimtError("INPUT_INVALID", `No value was given for "${dim.symbol}".`);
  const result = (value * dim.num) / dim.den + dim.add;
  if (!Number.isInteger(result) || result < 0) {
    throw new GlimtError("INPUT_INVALID", `${formatDim(dim)} with ${dim.symbol}=${value} gives ${result}.`);
  }
  return result;
}

export function formatDim(dim: Dim): string {
  if (typeof dim === "number") return String(dim);
  const scaled = (dim.num === 1 ? "" : `${dim.num}*`) + dim.symbol + (dim.den === 1 ? "" : `/${dim.den}`);
  return dim.add === 0 ? scaled : `${scaled}${dim.add > 0 ? "+" : ""}${dim.add}`;
}

export function formatShape(shape: Shape): string {
  return `[${shape.map(formatDim).join(", ")}]`;
}

function reduced(dim: SymbolicDim): SymbolicDim {
  const divisor = greatestCommonDivisor(dim.num, dim.den);
  return { ...dim, num: dim.num / divisor, den: dim.den / divisor };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
