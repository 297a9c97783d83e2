/** The type of a reference kernel, derived from the op table: operands and attributes by their names. */
import { GlimtError } from "../../errors.ts";
import type { AttrSpec, AttrValue } from "../../graph/op-definition.ts";
import { type FusedOp, type LocalOp, OPS, type OpName, type ViewOp } from "../../graph/ops.ts";
import type { MatrixView } from "./matrix-view.ts";
import type { RowsView } from "./rows-view.ts";

type Op<N extends OpName> = (typeof OPS)[N];

/** Weights are only read, in whatever format; the others are activations, states and indices. */
type InputView<Spec> = Spec extends { kind: "matrix" | "rows" | "vector" | "table" } ? RowsView : MatrixView;

export type KernelInputs<N extends OpName> = {
  readonly [K in keyof Op<N>["inputs"]]: InputView<Op<N>["inputs"][K]>;
};
export type KernelOutputs<N extends OpName> = { readonly [K in keyof Op<N>["outputs"]]: MatrixView };
export type KernelAttrs<N extends OpName> = {
  readonly [K in keyof Op<N>["attrs"]]: Op<N>["attrs"][K] extends AttrSpec
    ? AttrValue<Op<N>["attrs"][K]>
    : never;
};

export type Kernel<N extends OpName> = (
  inputs: KernelInputs<N>,
  outputs: KernelOutputs<N>,
  attrs: KernelAttrs<N>,
) => void;

/** Kernels by op, of which each file of kernels makes one. */
export type Kernels = { readonly [N in Exclude<LocalOp, ViewOp>]?: Kernel<N> };
/** Every op that is no composition has one. */
export type KernelTable = Kernels & { readonly [N in Exclude<LocalOp, ViewOp | FusedOp>]: Kernel<N> };

/** Runs the kernel of `op`, which the table has, with operands and attributes in the op table's order. */
export function callKernel(
  table: Kernels,
  op: OpName,
  inputs: readonly RowsView[],
  outputs: readonly RowsView[],
  attrs: readonly number[],
): void {
  const named = (names: object, values: readonly unknown[]) =>
    Object.fromEntries(Object.keys(names).map((name, index) => [name, values[index]]));
  const specs = Object.values(OPS[op].attrs) as AttrSpec[];
  const attrValues = specs.map((spec, index) => {
    const value = attrs[index] as number;
    return typeof spec === "string" ? value : spec[value];
  });
  const kernel = table[op as keyof Kernels] as (inputs: object, outputs: object, attrs: object) => void;
  kernel(named(OPS[op].inputs, inputs), named(OPS[op].outputs, outputs), named(OPS[op].attrs, attrValues));
}

/**
 * `index` when it is below `count`.
 * @throws INPUT_INVALID: the judge refuses to read or write outside an operand.
 */
export function checkedIndex(op: OpName, what: string, index: number | undefined, count: number): number {
  if (index === undefined || !(index >= 0 && index < count)) {
    throw new GlimtError("INPUT_INVALID", `${op}: ${what} ${index} is outside 0..${count - 1}.`);
  }
  return index;
}
