/** A conformance case: one op with its attributes, dtypes and seeded operands, told apart by printed fields. */
import type { LocalOp } from "../graph/ops.ts";
import { evaluateDim, type Shape, type SymbolValues, symbolDim } from "../tensor/dims.ts";
import type { CacheDType } from "../tensor/dtype.ts";
import type { WeightFormat } from "../tensor/storage.ts";
import { Random } from "./random.ts";

export interface Operand {
  readonly shape: Shape;
  /** The operand's `count` elements, row by row; integers for an index. */
  readonly fill: (random: Random, count: number) => ArrayLike<number>;
  /** Columns before and after it in a wider buffer, whose other columns hold NaN. Activations only. */
  readonly padding?: readonly [before: number, after: number];
}

export interface OpCase {
  readonly op: LocalOp;
  /** What makes this case different from the others of its op; its name and its seed. */
  readonly fields: Readonly<Record<string, string | number>>;
  /** Of its weights; those whose columns a block format can not hold are f32. */
  readonly weight: WeightFormat;
  /** What a KV cache is stored in; the activation type where it is left out. */
  readonly cache?: CacheDType | undefined;
  readonly symbols: SymbolValues;
  readonly attrs: Readonly<Record<string, number | string>>;
  readonly operands: Readonly<Record<string, Operand>>;
  /** The op's input dies with it, so that its output takes the input's memory where the op table allows it. */
  readonly inPlace: boolean;
  /**
   * The op only moves elements, or its steps are written down: no difference is allowed. "by integers": where weights in
   * blocks meet activations in blocks (`Backend.weightOnly` is not set), so that sums are of integers.
   */
  readonly exact: boolean | "by integers";
}

/** Cases by op, of which each file of cases makes one. */
export type OpCases = { readonly [N in LocalOp]?: () => OpCase[] };

export type CaseInit = Pick<OpCase, "fields" | "operands"> & Partial<OpCase>;

export function opCase(op: LocalOp, init: CaseInit): OpCase {
  return { op, weight: "f32", symbols: {}, attrs: {}, inPlace: false, exact: false, ...init };
}

/** E.g. "linear m=9 n=17 k=33 weight=bf16": enough to find and rerun the case. */
export function caseName({ op, fields, inPlace }: Pick<OpCase, "op" | "fields" | "inPlace">): string {
  const parts = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  return [op, ...parts, ...(inPlace ? ["in-place"] : [])].join(" ");
}

const valuesOf = new WeakMap<OpCase, Map<string, ArrayLike<number>>>();

/** The values of an operand: the same for each backend and run, and made once. */
export function operandValues(test: OpCase, name: string): ArrayLike<number> {
  let known = valuesOf.get(test);
  if (!known) {
    known = new Map();
    valuesOf.set(test, known);
  }
  const operand = test.operands[name] as Operand;
  const count = operand.shape.reduce<number>((size, dim) => size * evaluateDim(dim, test.symbols), 1);
  const values = known.get(name) ?? operand.fill(new Random(`${caseName(test)} ${name}`), count);
  known.set(name, values);
  return values;
}

/** Symbolic row counts that cases use; a case gives their values. */
export const M = symbolDim("m");
export const T = symbolDim("t");
export const S = symbolDim("s");

/** Row counts that catch what tiles hide: none, one, odd, prime, one past a tile. */
export const ROW_COUNTS = [0, 1, 2, 3, 7, 9, 17, 65] as const;

/** Formats of blocks of floats: whatever activations meet them, they are widened. */
export const FLOAT_BLOCK_FORMATS = ["fp8"] as const satisfies readonly WeightFormat[];
export const WEIGHT_DTYPES = ["f32", "bf16", "f16"] as const satisfies readonly WeightFormat[];
