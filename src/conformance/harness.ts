/** Runs one conformance case on an engine. */
import type { Backend, Binding, DeviceWeight, Engine, WeightRows } from "../backends/backend.ts";
import { compileGraph } from "../compiler/compile.ts";
import type { WeightSpec } from "../graph/weight-spec.ts";
import type { ElementBuffer } from "../program/program.ts";
import type { VerifiedProgram } from "../program/verify-program.ts";
import { weightLayouts } from "../program/weights.ts";
import { evaluateDim } from "../tensor/dims.ts";
import { type DType, type HostArray, hostArray, type TensorDType } from "../tensor/dtype.ts";
import { toFloat32, writeElements } from "../tensor/elements.ts";
import {
  type BlockFormat,
  type GroupedFormat,
  isBlockFormat,
  isGroupedFormat,
  isRoundedFormat,
  storageBytes,
  type WeightFormat,
} from "../tensor/storage.ts";
import { type OpCase, type Operand, operandValues } from "./case.ts";
import { caseGraph, ZEROS } from "./case-graph.ts";
import { fp8Rows } from "./fp8-rows.ts";
import { type GuardedTensor, guardedTensor } from "./guarded.ts";
import { randomBlocks } from "./random-blocks.ts";

export interface CaseRun {
  /** Outputs and states by name, widened to float32 or as int32. */
  readonly outputs: Readonly<Record<string, Float32Array | Int32Array>>;
  /** Outputs and states around which something was written. */
  readonly strayWrites: readonly string[];
}

/** The case's graph as it is, without fusion; a fused op that the backend lacks is its composition. */
export function caseProgram(
  { supports, weightLayout }: Pick<Backend, "supports" | "weightLayout">,
  test: OpCase,
  activation: DType,
): VerifiedProgram {
  return compileGraph(caseGraph(test, activation), {
    passes: [],
    supports: (query) => supports(query).ok,
    weightLayout,
  });
}

/** Runs a case with activations of the given type, or a program of it. */
export async function runCase(
  engine: Engine,
  test: OpCase,
  activation: DType,
  program = caseProgram(engine.backend, test, activation),
): Promise<CaseRun> {
  const weights = await uploadWeights(engine, program, test);
  const guarded = new Map<string, GuardedTensor>();
  try {
    const buffers: Record<string, Binding> = {};
    for (const buffer of program.buffers) {
      if (buffer.kind === "input") buffers[buffer.name] = inputData(test, buffer);
      if (buffer.kind === "output" || buffer.kind === "state") {
        const tensor = guardBuffer(engine, test, buffer);
        guarded.set(buffer.name, tensor);
        buffers[buffer.name] = tensor.binding;
      }
    }
    await engine.run(engine.load(program, weights), { symbols: test.symbols, buffers });
    return await takeResults(guarded);
  } finally {
    for (const { binding } of guarded.values()) engine.free(binding.tensor);
    for (const weight of weights.values()) engine.free(weight);
  }
}

async function takeResults(guarded: Map<string, GuardedTensor>): Promise<CaseRun> {
  const outputs: Record<string, Float32Array | Int32Array> = {};
  const strayWrites: string[] = [];
  for (const [name, tensor] of guarded) {
    const { data, strayWrite } = await tensor.read();
    outputs[name] = data instanceof Int32Array ? data : toFloat32(tensor.binding.tensor.dtype, data);
    if (strayWrite) strayWrites.push(name);
  }
  return { outputs, strayWrites };
}

function guardBuffer(engine: Engine, test: OpCase, { name, kind, dtype, rows, cols }: ElementBuffer) {
  const content = kind === "state" ? toStorage(dtype, operandValues(test, name)) : undefined;
  return guardedTensor(
    engine,
    dtype,
    evaluateDim(rows, test.symbols),
    evaluateDim(cols, test.symbols),
    content,
  );
}

/** An operand's values as host data; the columns around a padded one are NaN. */
function inputData(test: OpCase, { name, dtype, rows, cols }: ElementBuffer): HostArray {
  const values = operandValues(test, name);
  const [before, after] = (test.operands[name] as Operand).padding ?? [0, 0];
  if (before + after === 0) return toStorage(dtype, values);
  const [height, width] = [evaluateDim(rows, test.symbols), evaluateDim(cols, test.symbols)];
  const inner = width - before - after;
  const wide = new Float32Array(height * width).fill(Number.NaN);
  for (let row = 0; row < height; row++) {
    for (let col = 0; col < inner; col++) {
      wide[row * width + before + col] = values[row * inner + col] as number;
    }
  }
  return toStorage(dtype, wide);
}

async function uploadWeights(
  engine: Engine,
  program: VerifiedProgram,
  test: OpCase,
): Promise<Map<string, DeviceWeight>> {
  const weights = new Map<string, DeviceWeight>();
  const layouts = weightLayouts(program);
  for (const spec of program.weights) {
    const size = spec.shape.reduce((product, dim) => product * dim, 1);
    const values = spec.name.startsWith(ZEROS) ? new Float32Array(size) : operandValues(test, spec.name);
    const layout = layouts.get(spec.name) ?? "plain";
    weights.set(spec.name, await engine.uploadWeight(storedRows(spec, values), layout));
  }
  return weights;
}

/** A weight of the given values, as a checkpoint would hand it out. */
export function weightRows(
  spec: WeightSpec,
  values: ArrayLike<number>,
  dtype: Exclude<WeightFormat, GroupedFormat> = isGroupedFormat(spec.dtype) ? "f32" : spec.dtype,
): WeightRows {
  const { buffer, byteOffset, byteLength } = toStorage(dtype, values);
  return rowsOf(spec, dtype, new Uint8Array(buffer, byteOffset, byteLength));
}

/** The same, in fp8 near them, or any blocks in their place where nothing is rounded to the weight's format. */
export function storedRows(spec: WeightSpec, values: ArrayLike<number>): WeightRows {
  const format = spec.dtype;
  if (format === "fp8") return rowsOf(spec, format, fp8Rows(values));
  if (!isBlockFormat(format) || isRoundedFormat(format)) return weightRows(spec, values);
  return rowsOf(spec, format, blocksOf(spec, format));
}

export function blocksOf({ name, shape }: WeightSpec, format: BlockFormat): Uint8Array {
  const [rows = 0, cols = 1] = shape;
  return randomBlocks(format, `${name} ${rows} ${cols}`, rows, cols);
}

function rowsOf(spec: WeightSpec, dtype: WeightFormat, bytes: Uint8Array): WeightRows {
  const [rows = 0, cols = 1] = spec.shape;
  const rowBytes = storageBytes(dtype, 1, cols);
  return {
    spec,
    dtype,
    rows,
    cols,
    readRows: async (first, count, into) =>
      into.set(bytes.subarray(first * rowBytes, (first + count) * rowBytes)),
  };
}

export function toStorage(dtype: TensorDType, values: ArrayLike<number>): HostArray {
  const data = hostArray(dtype, values.length);
  writeElements(dtype, values, 0, values.length, data, 0);
  return data;
}
