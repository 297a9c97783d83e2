/**
 * Checks a program against the op table before it runs, so that the kernels may rely on it: operands exist, their
 * shapes and dtypes fit their op for every value of the symbols, and weights are used in the layout they have.
 */

import { GlimtError } from "../errors.ts";
import { inferOutputs, type TensorType } from "../graph/infer.ts";
import type { AttrSpec, OpDefinition, OperandKind } from "../graph/op-definition.ts";
import { OPS } from "../graph/ops.ts";
import { formatShape, type Shape, shapesEqual } from "../tensor/dims.ts";
import type { Instruction, Program, ProgramBuffer, ProgramTensor } from "./program.ts";

/** @throws PROGRAM_INVALID naming the instruction and what is wrong with it. */
export function checkProgram(program: Program): void {
  program.instructions.forEach((instruction, index) => {
    const complaint = complaintAbout(program, instruction);
    if (complaint) {
      throw new GlimtError(
        "PROGRAM_INVALID",
        `${program.name}: instruction ${index} (${instruction.scope || "no scope"}, ${instruction.op}): ${complaint}`,
      );
    }
  });
}

function complaintAbout(program: Program, { op, inputs, outputs, attrs }: Instruction): string | null {
  const definition: OpDefinition | undefined = OPS[op];
  if (!definition || definition.view) return "it is no operation.";
  const inputSpecs = Object.entries(definition.inputs);
  const outputSpecs = Object.entries(definition.outputs);
  const attrSpecs = Object.entries(definition.attrs);
  if (
    inputs.length !== inputSpecs.length ||
    outputs.length !== outputSpecs.length ||
    attrs.length !== attrSpecs.length
  ) {
    return "it has another number of operands or attributes than its op.";
  }
  const lacking = [...inputs, ...outputs].find(
    (index) => program.buffers[program.tensors[index]?.buffer ?? -1] === undefined,
  );
  if (lacking !== undefined) return `tensor ${lacking} or its buffer does not exist.`;
  const badAttr = attrSpecs.find(([, spec], index) => !validAttr(spec, attrs[index]));
  if (badAttr) return `attribute "${badAttr[0]}" is out of range.`;

  const tensor = (index: number) => program.tensors[index] as ProgramTensor;
  const buffer = (index: number) => program.buffers[tensor(index).buffer] as ProgramBuffer;
  const types: Record<string, TensorType> = {};
  for (const [position, [name, { kind, shape }]] of inputSpecs.entries()) {
    const index = inputs[position] as number;
    const misuse = layoutComplaint(kind, shape, tensor(index), buffer(index));
    if (misuse) return `${name} ${misuse}`;
    types[name] = { shape: shapeFor(shape, tensor(index)), dtype: buffer(index).dtype };
  }
  let inferred: Record<string, TensorType>;
  try {
    const named = Object.fromEntries(attrSpecs.map(([name], index) => [name, attrs[index] as number]));
    inferred = inferOutputs(op, types, named, "f32");
  } catch (error) {
    return (error as Error).message;
  }
  for (const [position, [name, { shape }]] of outputSpecs.entries()) {
    const index = outputs[position] as number;
    const expected = inferred[name] as TensorType;
    const found = { shape: shapeFor(shape, tensor(index)), dtype: buffer(index).dtype };
    if (found.dtype !== expected.dtype || !shapesEqual(found.shape, expected.shape)) {
      return `${name} is ${found.dtype}${formatShape(found.shape)}, expected ${expected.dtype}${formatShape(expected.shape)}.`;
    }
    if (buffer(index).kind === "weight" || buffer(index).kind === "input") {
      return `${name} would overwrite ${buffer(index).kind} "${buffer(index).name}".`;
    }
    const aliased = inputSpecs.findIndex(([input]) => input === definition.alias?.[name]);
    if (aliased >= 0 && !samePlace(tensor(index), tensor(inputs[aliased] as number))) {
      return `${name} must be the memory of ${definition.alias?.[name]}.`;
    }
  }
  return null;
}

/** Numbers are sizes and counts, so none of them is 0. */
function validAttr(spec: AttrSpec, value: number | undefined): boolean {
  if (value === undefined) return false;
  if (spec === "f32") return Number.isFinite(value);
  const integer = Number.isInteger(value);
  return spec === "u32"
    ? integer && value > 0 && value < 2 ** 31
    : integer && value >= 0 && value < spec.length;
}

function layoutComplaint(
  kind: OperandKind,
  pattern: string,
  tensor: ProgramTensor,
  buffer: ProgramBuffer,
): string | null {
  const contiguous = tensor.rowStride === 0 || tensor.rowStride === tensor.cols;
  const isVector = !pattern.includes(" ");
  if (isVector && !contiguous) return "is a vector with gaps.";
  if (kind === "state" && (!contiguous || tensor.colOffset !== 0)) return "is a part of its state.";
  if (kind !== "matrix" && kind !== "rows") {
    return buffer.role === "data" ? null : `is a weight stored for another use (${buffer.role}).`;
  }
  const whole =
    contiguous &&
    tensor.colOffset === 0 &&
    shapesEqual([tensor.rows, tensor.cols], [buffer.rows, buffer.cols]);
  if (buffer.kind !== "weight" || !whole) return "is no whole weight.";
  if (kind === "matrix" && buffer.role !== "matrix") return `has the role ${buffer.role}, expected matrix.`;
  return null;
}

/** A pattern of one term is a vector: a single row or column. */
function shapeFor(pattern: string, { rows, cols }: ProgramTensor): Shape {
  if (pattern.includes(" ")) return [rows, cols];
  if (cols === 1) return [rows];
  return rows === 1 ? [cols] : [rows, cols];
}

function samePlace(a: ProgramTensor, b: ProgramTensor): boolean {
  return a.buffer === b.buffer && a.colOffset === b.colOffset && a.rowStride === b.rowStride;
}
