/** What a run of a program has to do at the least: arithmetic, and bytes that must come from memory. */
import type { InputSpec } from "../graph/op-definition.ts";
import { isCollective, OPS } from "../graph/ops.ts";
import type { Instruction, Program, ProgramBuffer, ProgramTensor } from "../program/program.ts";
import { evaluateDim, type SymbolValues } from "../tensor/dims.ts";
import { isBlockFormat, storageBytes } from "../tensor/storage.ts";

/** New tokens of a sequence, and its length with them. */
export interface Extent {
  readonly queries: number;
  readonly context: number;
}

export interface Work {
  /** Of float32 multiply-adds, two each: products with weights of f32, bf16 and f16, and attention. */
  readonly floatOperations: number;
  /** Of products with weights in blocks of integers of fewer than 8 bits (q4 and others), two each. */
  readonly integerOperations: number;
  /** Of products with weights in blocks of integers of 8 bits (q8), two each. */
  readonly byteOperations: number;
  /** Weights and caches, each read once. Activations are not counted: caches hold them. */
  readonly bytes: number;
}

export interface RunSizes {
  readonly symbols: SymbolValues;
  readonly extents: readonly Extent[];
}

/** Of each instruction of one run. What is small beside products and attention counts as no operations. */
export function programWork(program: Program, sizes: RunSizes): Work[] {
  return program.instructions.map((instruction) => instructionWork(program, instruction, sizes));
}

export function sumWork(works: readonly Work[]): Work {
  const sum = (key: keyof Work) => works.reduce((total, work) => total + work[key], 0);
  return {
    floatOperations: sum("floatOperations"),
    integerOperations: sum("integerOperations"),
    byteOperations: sum("byteOperations"),
    bytes: sum("bytes"),
  };
}

/** Of several runs of one program, instruction by instruction. */
export function addWork(runs: readonly (readonly Work[])[]): Work[] {
  const [first = []] = runs;
  return first.map((_, index) => sumWork(runs.map((run) => run[index] as Work)));
}

export function operationsOf({ floatOperations, integerOperations, byteOperations }: Work): number {
  return floatOperations + integerOperations + byteOperations;
}

/** Blocks meet blocks of activations, but in split, whose kernels widen them. */
function kindOfProducts({ dtype, layout }: ProgramBuffer): Exclude<keyof Work, "bytes"> {
  if (!isBlockFormat(dtype) || layout === "split") return "floatOperations";
  return dtype === "q8" ? "byteOperations" : "integerOperations";
}

const NO_WORK: Work = { floatOperations: 0, integerOperations: 0, byteOperations: 0, bytes: 0 };

/** By operands, not by name: a fused op counts as the ops it stands for. */
function instructionWork(program: Program, instruction: Instruction, { symbols, extents }: RunSizes): Work {
  if (isCollective(instruction.op)) return NO_WORK;
  const operands = operandsOf(program, instruction, symbols);
  if (operands.outputRows === 0) return NO_WORK;
  if (instruction.op === "experts") return expertsWork(operands);
  const rows = operands.rows("x") ?? operands.outputRows;
  const work = { ...NO_WORK };
  for (const { kind, buffer, size } of operands.weights) {
    // A table gives no more rows than there are results.
    const read = kind === "rows" ? Math.min(size.rows, operands.outputRows) : size.rows;
    work.bytes += storageBytes(buffer.dtype, read, size.cols);
    if (kind !== "matrix") continue;
    work[kindOfProducts(buffer)] += 2 * rows * size.rows * size.cols;
  }
  if (operands.has("cuSeqlens")) {
    const paged = operands.has("cache");
    const pairs = paged ? causalPairs(extents) : fullPairs(extents);
    work.floatOperations += 4 * pairs * operands.attr("numHeads") * operands.attr("headDim");
    const context = extents.reduce((sum, extent) => sum + extent.context, 0);
    if (paged) work.bytes += context * operands.cacheBytesPerToken();
  }
  return work;
}

/** Of each token as many of its topK experts, and of the weights those of as many experts, as an even choice would take. */
function expertsWork(operands: Operands): Work {
  const [tokens, numExperts, totalExperts, topK] = [
    operands.outputRows,
    operands.attr("numExperts"),
    operands.attr("totalExperts"),
    operands.attr("topK"),
  ];
  const chosen = numExperts * (1 - (1 - topK / totalExperts) ** tokens);
  const choices = (tokens * topK * numExperts) / totalExperts;
  const work = { ...NO_WORK };
  for (const { buffer, size } of operands.weights) {
    const rowsOfOne = size.rows / numExperts;
    work.bytes += chosen * storageBytes(buffer.dtype, rowsOfOne, size.cols);
    work[kindOfProducts(buffer)] += 2 * choices * rowsOfOne * size.cols;
  }
  return work;
}

type Operands = ReturnType<typeof operandsOf>;

function operandsOf(program: Program, { op, inputs, outputs, attrs }: Instruction, symbols: SymbolValues) {
  const specs: Readonly<Record<string, InputSpec>> = OPS[op].inputs;
  const names = Object.keys(specs);
  const tensorAt = (index: number | undefined) => program.tensors[index as number] as ProgramTensor;
  const bufferOf = (tensor: ProgramTensor) => program.buffers[tensor.buffer] as ProgramBuffer;
  const sizeOf = ({ rows, cols }: ProgramTensor) => ({
    rows: evaluateDim(rows, symbols),
    cols: evaluateDim(cols, symbols),
  });
  const attr = (name: string) => attrs[Object.keys(OPS[op].attrs).indexOf(name)] as number;
  const weights = names.flatMap((name, position) => {
    const tensor = tensorAt(inputs[position]);
    const buffer = bufferOf(tensor);
    return buffer.kind === "weight" ? [{ kind: specs[name]?.kind, buffer, size: sizeOf(tensor) }] : [];
  });
  return {
    weights,
    outputRows: sizeOf(tensorAt(outputs[0])).rows,
    has: (name: string) => names.includes(name),
    attr,
    rows: (name: string) =>
      names.includes(name) ? sizeOf(tensorAt(inputs[names.indexOf(name)])).rows : undefined,
    /** Keys and values of one token in one layer. */
    cacheBytesPerToken(): number {
      const { dtype, cols } = bufferOf(tensorAt(inputs[names.indexOf("cache")]));
      return storageBytes(dtype, 1, evaluateDim(cols, symbols) / attr("pageSize"));
    },
  };
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
