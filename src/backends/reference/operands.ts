/** Finds the memory of each buffer of a program for one run, and the view of each of its tensors. */

import { GlimtError } from "../../errors.ts";
import type { ElementBuffer, Program } from "../../program/program.ts";
import { evaluateDim, type SymbolValues } from "../../tensor/dims.ts";
import { type HostArray, hostLength, type TensorDType } from "../../tensor/dtype.ts";
import type { Binding, RunBindings } from "../backend.ts";
import { asStored, hostDTypes, isStorable } from "../host-arrays.ts";
import { typedArray } from "./elements.ts";
import { MatrixView } from "./matrix-view.ts";
import type { Memory, ReferenceWeight } from "./memory.ts";
import { RowsView } from "./rows-view.ts";

/** Of a view in its memory. */
type Place = readonly [rows: number, cols: number, offset: number, rowStride: number];

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
  const viewsOf = program.buffers.map((buffer, index) => {
    if (buffer.kind === "weight") {
      const { elements } = memory.ownedWeight(weights[index] as ReferenceWeight);
      return (...place: Place) => new RowsView(elements, ...place);
    }
    const { kind, dtype, slot } = buffer;
    const data =
      kind === "temporary"
        ? typedArray(dtype, slots[slot] as ArrayBuffer)
        : boundArray(program, buffer, bindings, memory);
    return (...place: Place) => new MatrixView(dtype, data, ...place);
  });
  return program.tensors.map(({ buffer, rows, cols, colOffset, rowStride }) => {
    const width = evaluateDim(cols, bindings.symbols);
    const view = viewsOf[buffer] as (...place: Place) => RowsView;
    return view(evaluateDim(rows, bindings.symbols), width, colOffset, rowStride || width);
  });
}

function boundArray(
  program: Program,
  buffer: ElementBuffer,
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
  const { data, dtypes } = bindingData(binding, memory, fail);
  const rounded = data === binding && buffer.kind === "input" && isStorable(buffer.dtype, data);
  if (!dtypes.includes(buffer.dtype) && !rounded) return fail(`is ${dtypes.join(" or ")}`);
  if (data.length < hostLength(buffer.dtype, rows * cols)) return fail(`has ${data.length} elements`);
  return rounded ? asStored(buffer.dtype, data) : data;
}

function bindingData(
  binding: Binding,
  memory: Memory,
  fail: (found: string) => never,
): { data: HostArray; dtypes: readonly TensorDType[] } {
  if (ArrayBuffer.isView(binding)) return { data: binding, dtypes: hostDTypes(binding) };
  const { tensor, firstRow, rows } =
    "tensor" in binding ? binding : { tensor: binding, firstRow: 0, rows: binding.rows };
  const { data, dtype, cols, rows: count } = memory.owned(tensor);
  if (firstRow < 0 || rows < 0 || firstRow + rows > count) {
    return fail(`is bound to rows ${firstRow}..${firstRow + rows} of a tensor of ${count}`);
  }
  const [start, end] = [firstRow, firstRow + rows].map((row) => hostLength(dtype, row * cols));
  return { data: data.subarray(start, end), dtypes: [dtype] };
}

function formatSymbols(symbols: SymbolValues): string {
  const parts = Object.entries(symbols).map(([name, value]) => `${name}=${value}`);
  return parts.length ? ` (${parts.join(", ")})` : "";
}
