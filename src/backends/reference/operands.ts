/** Finds the memory of each buffer of a program for one run, and the view of each of its tensors. */

import { GlimtError } from "../../errors.ts";
import type { Program, ProgramBuffer } from "../../program/program.ts";
import { evaluateDim, type SymbolValues } from "../../tensor/dims.ts";
import type { DType, HostArray } from "../../tensor/dtype.ts";
import type { Binding, RunBindings } from "../backend.ts";
import { asStored, isStorable } from "../host-arrays.ts";
import { typedArray } from "./elements.ts";
import { MatrixView } from "./matrix-view.ts";
import type { Memory, ReferenceWeight } from "./memory.ts";
import { RowsView } from "./rows-view.ts";

/**
 * One view for each tensor of the program.
 * @throws INPUT_INVALID naming a symbol or buffer that is missing, of another dtype or too small.
 */
export function resolveOperands(
  program: Program,
  weights: readonly (ReferenceWeight | null)[],
  slots: readonly ArrayBuffer[],
  bindings: RunBindings,
  memory: Memory,
): RowsView[] {
  const contents = program.buffers.map((buffer, index) => {
    const weight = weights[index];
    if (weight) return memory.ownedWeight(weight);
    if (buffer.kind === "temporary") return typedArray(buffer.dtype, slots[buffer.slot] as ArrayBuffer);
    return boundArray(program, buffer, bindings, memory);
  });
  return program.tensors.map(({ buffer, rows, cols, colOffset, rowStride }) => {
    const width = evaluateDim(cols, bindings.symbols);
    const place = [evaluateDim(rows, bindings.symbols), width, colOffset, rowStride || width] as const;
    const held = contents[buffer] as HostArray | ReferenceWeight;
    if (!ArrayBuffer.isView(held)) return new RowsView(held.read, ...place);
    return new MatrixView((program.buffers[buffer] as ProgramBuffer).dtype, held, ...place);
  });
}

function boundArray(
  program: Program,
  buffer: ProgramBuffer,
  { symbols, buffers }: RunBindings,
  memory: Memory,
): HostArray {
  const binding = buffers[buffer.name];
  const [rows, cols] = [evaluateDim(buffer.rows, symbols), evaluateDim(buffer.cols, symbols)];
  const fail = (found: string): never => {
    throw new GlimtError(
      "INPUT_INVALID",
      `${program.name}: ${buffer.kind} "${buffer.name}" ${found}, expected ${buffer.dtype}[${rows}, ${cols}]${formatSymbols(symbols)}.`,
    );
  };
  if (!binding) return fail("is not bound");
  if (ArrayBuffer.isView(binding) && buffer.kind === "state") return fail("is bound to a host array");
  const { data, dtypes } = bindingData(binding, memory);
  const rounded = data === binding && buffer.kind === "input" && isStorable(buffer.dtype, data);
  if (!dtypes.includes(buffer.dtype) && !rounded) return fail(`is ${dtypes.join(" or ")}`);
  if (data.length < rows * cols) return fail(`has ${data.length} elements`);
  return rounded ? asStored(buffer.dtype, data) : data;
}

function bindingData(binding: Binding, memory: Memory): { data: HostArray; dtypes: readonly DType[] } {
  if (binding instanceof Float32Array) return { data: binding, dtypes: ["f32"] };
  if (binding instanceof Int32Array) return { data: binding, dtypes: ["i32"] };
  if (binding instanceof Uint16Array) return { data: binding, dtypes: ["bf16", "f16"] };
  const { tensor, firstRow, rows } =
    "tensor" in binding ? binding : { tensor: binding, firstRow: 0, rows: binding.rows };
  const { data, dtype, cols } = memory.owned(tensor);
  return { data: data.subarray(firstRow * cols, (firstRow + rows) * cols), dtypes: [dtype] };
}

function formatSymbols(symbols: SymbolValues): string {
  const parts = Object.entries(symbols).map(([name, value]) => `${name}=${value}`);
  return parts.length ? ` (${parts.join(", ")})` : "";
}
