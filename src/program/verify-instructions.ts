/** What a program does: each instruction's operands and attributes against its op, and who owns the memory meanwhile. */
import { GlimtError } from "../errors.ts";
import { inferOutputs, type TensorType } from "../graph/infer.ts";
import type { AttrSpec, OpDefinition, OperandKind } from "../graph/op-definition.ts";
import { OPS } from "../graph/ops.ts";
import { formatShape, type Shape, shapesEqual } from "../tensor/dims.ts";
import type { Instruction, Program, ProgramBuffer, ProgramTensor } from "./program.ts";

/** The declarations were verified. @throws PROGRAM_INVALID naming the instruction and what is wrong with it. */
export function verifyInstructions(program: Program): void {
  const memory: Memory = { tenants: new Array<number | undefined>(program.slotCount), given: new Set() };
  program.instructions.forEach((instruction, index) => {
    const complaint = operandComplaint(program, instruction) ?? memoryComplaint(program, instruction, memory);
    if (complaint) {
      throw new GlimtError(
        "PROGRAM_INVALID",
        `${program.name}: instruction ${index} (${instruction.scope || "no scope"}, ${instruction.op}): ${complaint}`,
      );
    }
  });
  const missing = program.buffers.find(({ kind }, index) => kind === "output" && !memory.given.has(index));
  if (missing) {
    throw new GlimtError("PROGRAM_INVALID", `${program.name}: output "${missing.name}" is never written.`);
  }
}

/** What was written so far. */
interface Memory {
  /** By slot: the buffer that was written to it last. */
  readonly tenants: (number | undefined)[];
  /** Output buffers. */
  readonly given: Set<number>;
}

function operandComplaint(program: Program, { op, inputs, outputs, attrs }: Instruction): string | null {
  const definition: OpDefinition | undefined = OPS[op];
  if (!definition || definition.view) return "it is no operation.";
  const { inputSpecs, outputSpecs, attrSpecs } = specsOf(definition);
  if (
    inputs.length !== inputSpecs.length ||
    outputs.length !== outputSpecs.length ||
    attrs.length !== attrSpecs.length
  ) {
    return "it has another number of operands or attributes than its op.";
  }
  const lacking = [...inputs, ...outputs].find((index) => program.tensors[index] === undefined);
  if (lacking !== undefined) return `tensor ${lacking} does not exist.`;
  const badAttr = attrSpecs.find(([, spec], index) => !validAttr(spec, attrs[index]));
  if (badAttr) return `attribute "${badAttr[0]}" is out of range.`;

  const { tensor, buffer } = lookUp(program);
  const types: Record<string, TensorType> = {};
  for (const [position, [name, { kind, shape }]] of inputSpecs.entries()) {
    const index = inputs[position] as number;
    const misuse = layoutComplaint(kind, tensor(index), buffer(index));
    if (misuse) return `${name} ${misuse}`;
    types[name] = { shape: shapeFor(shape, tensor(index)), dtype: buffer(index).dtype };
  }
  let inferred: Record<string, TensorType>;
  try {
    const named = Object.fromEntries(attrSpecs.map(([name], index) => [name, attrs[index] as number]));
    inferred = inferOutputs(op, types, named, program.activation);
  } catch (error) {
    return (error as Error).message;
  }
  for (const [position, [name, spec]] of outputSpecs.entries()) {
    const index = outputs[position] as number;
    const expected = inferred[name] as TensorType;
    const found = { shape: shapeFor(spec.shape, tensor(index)), dtype: buffer(index).dtype };
    if (found.dtype !== expected.dtype || !shapesEqual(found.shape, expected.shape)) {
      return `${name} is ${found.dtype}${formatShape(found.shape)}, expected ${expected.dtype}${formatShape(expected.shape)}.`;
    }
    if ("dtype" in spec && !isContiguous(tensor(index))) return `${name} has gaps.`;
  }
  return null;
}

const specs = new Map<OpDefinition, ReturnType<typeof listSpecs>>();

/** An op's operands and attributes as lists, which are made once: programs have many instructions of few ops. */
function specsOf(definition: OpDefinition) {
  const known = specs.get(definition) ?? listSpecs(definition);
  specs.set(definition, known);
  return known;
}

function listSpecs({ inputs, outputs, attrs }: OpDefinition) {
  return {
    inputSpecs: Object.entries(inputs),
    outputSpecs: Object.entries(outputs),
    attrSpecs: Object.entries(attrs),
  };
}

/** Outputs overwrite nothing that is still needed; temporaries are read while they own their slot, results once they are there. */
function memoryComplaint(
  program: Program,
  { op, inputs, outputs }: Instruction,
  { tenants, given }: Memory,
): string | null {
  const { alias = {}, inPlace = {}, ...definition }: OpDefinition = OPS[op];
  const { tensor, buffer } = lookUp(program);
  const inputNames = Object.keys(definition.inputs);
  for (const [position, index] of inputs.entries()) {
    const { kind, name, slot } = buffer(index);
    if (kind === "temporary" && tenants[slot] !== tensor(index).buffer) {
      return `${inputNames[position]} reads "${name}", whose memory holds another value by now, or none.`;
    }
    if (kind === "output" && !given.has(tensor(index).buffer)) {
      return `${inputNames[position]} reads output "${name}" before it is written.`;
    }
  }
  const written = new Set<number>();
  for (const [position, name] of Object.keys(definition.outputs).entries()) {
    const index = outputs[position] as number;
    const { kind, name: bufferName, slot } = buffer(index);
    if (kind === "weight" || kind === "input") return `${name} would overwrite ${kind} "${bufferName}".`;
    const mine = tensor(index).buffer;
    if (written.has(mine)) return `${name} would overwrite another output.`;
    written.add(mine);
    const shared = alias[name];
    const sharedAt = inputNames.indexOf(shared ?? inPlace[name] ?? "");
    if (shared && !samePlace(tensor(index), tensor(inputs[sharedAt] as number))) {
      return `${name} must be the memory of ${shared}.`;
    }
    const taken = inputs.find((input, at) => {
      const other = tensor(input).buffer;
      if (other !== mine) return kind === "temporary" && buffer(input).slot === slot;
      return at !== sharedAt || !samePlace(tensor(index), tensor(input));
    });
    if (taken !== undefined) {
      return `${name} would overwrite ${inputNames[inputs.indexOf(taken)]} while it is read.`;
    }
  }
  for (const index of outputs) {
    const { kind, slot } = buffer(index);
    if (kind === "temporary") tenants[slot] = tensor(index).buffer;
    if (kind === "output") given.add(tensor(index).buffer);
  }
  return null;
}

function lookUp(program: Program) {
  const tensor = (index: number) => program.tensors[index] as ProgramTensor;
  return { tensor, buffer: (index: number) => program.buffers[tensor(index).buffer] as ProgramBuffer };
}

function validAttr(spec: AttrSpec, value: number | undefined): boolean {
  if (value === undefined) return false;
  if (spec === "f32") return Number.isFinite(value);
  const integer = Number.isInteger(value);
  if (spec === "index" || spec === "u32") {
    return integer && value >= (spec === "u32" ? 1 : 0) && value < 2 ** 31;
  }
  return integer && value >= 0 && value < spec.length;
}

function layoutComplaint(kind: OperandKind, tensor: ProgramTensor, buffer: ProgramBuffer): string | null {
  // Kernels walk through whatever is no activation as through one array.
  if (kind !== "activation" && !isContiguous(tensor)) return `is a ${kind} with gaps.`;
  if (kind === "state" && tensor.colOffset !== 0) return "is a part of its state.";
  if (kind !== "matrix" && kind !== "rows") {
    return buffer.layout === "plain" ? null : `lies in ${buffer.layout}, expected plain.`;
  }
  const whole =
    isContiguous(tensor) &&
    tensor.colOffset === 0 &&
    shapesEqual([tensor.rows, tensor.cols], [buffer.rows, buffer.cols]);
  if (buffer.kind !== "weight" || !whole) return "is no whole weight.";
  return null;
}

function isContiguous({ rowStride, cols }: ProgramTensor): boolean {
  return rowStride === 0 || rowStride === cols;
}

/** A pattern of one term is a vector: a single column. */
function shapeFor(pattern: string, { rows, cols }: ProgramTensor): Shape {
  return pattern.includes(" ") || cols !== 1 ? [rows, cols] : [rows];
}

function samePlace(a: ProgramTensor, b: ProgramTensor): boolean {
  return a.buffer === b.buffer && a.colOffset === b.colOffset && a.rowStride === b.rowStride;
}
