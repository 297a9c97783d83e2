/** Readable listings of graphs and programs: what will run, on which shapes, in how many bytes. */
import type { Graph, Value } from "../graph/graph.ts";
import type { AttrSpec } from "../graph/op-definition.ts";
import { OPS, type OpName } from "../graph/ops.ts";
import type { Instruction, Program, ProgramTensor } from "../program/program.ts";
import { bufferBytes, slotBytes } from "../program/sizes.ts";
import { formatDim, formatShape, type SymbolValues } from "../tensor/dims.ts";

/** One line a node: scope, op, inputs, attributes, results. */
export function printGraph(graph: Graph): string {
  const name = (id: number) => {
    const { origin, name } = graph.values[id] as Value;
    return origin.kind === "computed" ? `%${id}` : name;
  };
  const typed = (id: number) => {
    const { dtype, shape } = graph.values[id] as Value;
    return `%${id} ${dtype}${formatShape(shape)}`;
  };
  const lines = graph.nodes.map(({ scope, op, inputs, attrs, outputs }) => {
    const operands = Object.entries(inputs).map(([input, id]) => `${input}=${name(id)}`);
    return `  ${Object.values(outputs).map(typed).join(", ")} = ${op}(${operands.join(", ")})${printAttrs(op, Object.values(attrs))}  // ${scope}`;
  });
  const results = Object.entries(graph.outputs).map(([output, id]) => `${output}=%${id}`);
  return [`graph ${graph.name}`, ...lines, `  return ${results.join(", ")}`].join("\n");
}

/** Buffers, slots and instructions; byte counts for the symbol values given. */
export function printProgram(program: Program, symbols: SymbolValues): string {
  const bytesOf = (kind: string) =>
    program.buffers
      .filter((buffer) => buffer.kind === kind)
      .reduce((sum, buffer) => sum + bufferBytes(buffer, symbols), 0);
  const slots = slotBytes(program, symbols);
  const arena = slots.reduce((sum, bytes) => sum + bytes, 0);
  const at = Object.entries(symbols).map(([symbol, value]) => `${symbol}=${value}`);
  const lines = program.instructions.map((instruction, index) =>
    printInstruction(program, instruction, index),
  );
  return [
    `program ${program.name}: ${program.instructions.length} instructions, ${program.buffers.length} buffers`,
    `  at ${at.join(", ")}: weights ${formatBytes(bytesOf("weight"))}, states ${formatBytes(bytesOf("state"))}, ` +
      `inputs ${formatBytes(bytesOf("input"))}, outputs ${formatBytes(bytesOf("output"))}, ` +
      `temporaries ${formatBytes(arena)} in ${slots.length} slots (${formatBytes(bytesOf("temporary"))} without sharing)`,
    ...lines,
  ].join("\n");
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}

function printInstruction(
  program: Program,
  { op, inputs, outputs, attrs, scope }: Instruction,
  index: number,
): string {
  const names = (specs: object, operands: readonly number[]) =>
    Object.keys(specs).map(
      (name, position) => `${name}=${printTensor(program, operands[position] as number)}`,
    );
  const operands = names(OPS[op].inputs, inputs).join(", ");
  const results = outputs.map((tensor) => printTensor(program, tensor)).join(", ");
  return `  ${String(index).padStart(4)}  ${results} = ${op}(${operands})${printAttrs(op, attrs)}  // ${scope}`;
}

function printTensor(program: Program, index: number): string {
  const { buffer, rows, cols, colOffset, rowStride } = program.tensors[index] as ProgramTensor;
  const { name, kind, dtype, layout, slot } = program.buffers[buffer]!;
  const place = kind === "temporary" ? `s${slot}#${buffer}` : name;
  const view = rowStride === 0 ? "" : `@${colOffset}/${rowStride}`;
  const tiled = layout === "plain" ? "" : ` ${layout}`;
  return `${place}${view}:${dtype}${tiled}[${formatDim(rows)}, ${formatDim(cols)}]`;
}

function printAttrs(op: OpName, values: readonly number[]): string {
  const specs = Object.entries(OPS[op].attrs as Record<string, AttrSpec>);
  if (specs.length === 0) return "";
  const printed = specs.map(([name, spec], index) => {
    const value = values[index] as number;
    const text =
      typeof spec !== "string" ? spec[value] : spec === "f32" ? Number(value.toPrecision(6)) : value;
    return `${name}=${text}`;
  });
  return ` {${printed.join(", ")}}`;
}
