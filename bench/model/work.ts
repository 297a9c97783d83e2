/** What a run of a program has to do at the least: arithmetic, and bytes that must come from memory. */

import type { InputSpec } from "../../src/graph/op-definition.ts";
import { OPS } from "../../src/graph/ops.ts";
import type { Program, ProgramTensor } from "../../src/program/program.ts";
import { weightUses } from "../../src/program/weights.ts";
import { evaluateDim, type SymbolValues } from "../../src/tensor/dims.ts";
import { storageBytes } from "../../src/tensor/storage.ts";

/** New tokens of a sequence, and its length with them. */
export interface Extent {
  readonly queries: number;
  readonly context: number;
}

/** Floating-point operations of all matrix products and of attention; the rest is small beside them. Dense models. */
export function operations(program: Program, symbols: SymbolValues, extents: readonly Extent[]): number {
  let total = 0;
  for (const { op, inputs, attrs } of program.instructions) {
    const tensor = (index: number) => program.tensors[inputs[index] as number] as ProgramTensor;
    const size = (index: number, side: "rows" | "cols") => evaluateDim(tensor(index)[side], symbols);
    const attr = (name: string) => attrs[Object.keys(OPS[op].attrs).indexOf(name)] as number;
    if (op === "experts") throw new Error("Operations are counted of dense models only.");
    // By operands, not by name: a fused op counts as the ops it stands for.
    const specs: Readonly<Record<string, InputSpec>> = OPS[op].inputs;
    const names = Object.keys(specs);
    const w = names.findIndex((name) => specs[name]?.kind === "matrix");
    if (w >= 0)
      total += 2 * size(names.indexOf("x"), "rows") * size(names.indexOf("x"), "cols") * size(w, "rows");
    if (names.includes("cuSeqlens")) {
      const pairs = names.includes("cache") ? causalPairs(extents) : fullPairs(extents);
      total += 4 * pairs * attr("numHeads") * attr("headDim");
    }
  }
  return total;
}

function fullPairs(extents: readonly Extent[]): number {
  return extents.reduce((sum, { queries, context }) => sum + queries * context, 0);
}

/** Query i of q, counted from 0, sees the first context - q + i + 1 keys. */
function causalPairs(extents: readonly Extent[]): number {
  return extents.reduce(
    (sum, { queries, context }) => sum + queries * context - (queries * (queries - 1)) / 2,
    0,
  );
}

/** Every weight once, but of tables that are read by row only the rows of `tokens`; and the caches of all sequences. */
export function bytesRead(program: Program, tokens: number, extents: readonly Extent[]): number {
  const uses = weightUses(program);
  const weights = program.buffers.reduce((sum, { kind, rows, cols, dtype }, index) => {
    if (kind !== "weight") return sum;
    const count = evaluateDim(rows, {});
    const readByRow = uses.get(index)?.has("rows") && !uses.get(index)?.has("matrix");
    return sum + storageBytes(dtype, readByRow ? Math.min(tokens, count) : count, evaluateDim(cols, {}));
  }, 0);
  const context = extents.reduce((sum, extent) => sum + extent.context, 0);
  return weights + context * cacheBytesPerToken(program);
}

/** Keys and values of one token in all layers. */
export function cacheBytesPerToken(program: Program): number {
  let total = 0;
  for (const { op, inputs, attrs } of program.instructions) {
    const names = Object.keys(OPS[op].inputs);
    // What stores keys and values, alone or fused with others.
    if (!names.includes("slots")) continue;
    const cache = program.tensors[inputs[names.indexOf("cache")] as number] as ProgramTensor;
    const { dtype, cols } = program.buffers[cache.buffer] as Program["buffers"][number];
    const pageSize = attrs[Object.keys(OPS[op].attrs).indexOf("pageSize")] as number;
    total += storageBytes(dtype, 1, evaluateDim(cols, {}) / pageSize);
  }
  return total;
}
