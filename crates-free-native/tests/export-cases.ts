/**
 * Writes the conformance cases, with the reference backend's answers, to files that the native test program reads
 * (cases.h has the layout): one a op and activation type.
 *   node crates-free-native/tests/export-cases.mjs build/native-cases
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type {
  Binding,
  DeviceRows,
  DeviceTensor,
  DeviceWeight,
  Engine,
  Executable,
  RunBindings,
} from "../../src/backends/backend.ts";
import { cudaWeightLayout } from "../../src/backends/cuda/weight-layout.ts";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { caseName, type OpCase } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { type ActivationDType, toleranceOf } from "../../src/conformance/conformance.ts";
import { caseProgram, runCase } from "../../src/conformance/harness.ts";
import { LOCAL_OPS } from "../../src/graph/ops.ts";
import { encodeProgram } from "../../src/program/encoding.ts";
import { quantise } from "../../src/tensor/blocks.ts";
import type { HostArray } from "../../src/tensor/dtype.ts";
import { formatCode, isBlockFormat, isRoundedFormat, storageBytes } from "../../src/tensor/storage.ts";

const target = process.argv[2];
if (!target) throw new Error("Give the folder to write to.");
mkdirSync(target, { recursive: true });

class Writer {
  readonly #parts: Uint8Array[] = [];

  u32(value: number): void {
    this.bytes(new Uint8Array(Uint32Array.of(value >>> 0).buffer));
  }
  f32(value: number): void {
    this.bytes(new Uint8Array(Float32Array.of(value).buffer));
  }
  block(data: Uint8Array): void {
    this.u32(data.length);
    this.bytes(data);
  }
  text(value: string): void {
    this.block(new TextEncoder().encode(value));
  }
  array(data: HostArray): void {
    this.block(new Uint8Array(data.slice().buffer));
  }
  bytes(data: Uint8Array): void {
    this.#parts.push(data);
  }
  finish(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}

/** As the kernels compute. */
const reference = createReferenceBackend("f32", { weightOnly: true });
const native = { supports: reference.supports, weightLayout: cudaWeightLayout };

/** The reference engine, noting what goes into the one run of a case and what comes out. */
function recording(engine: Engine, writer: Writer, test: OpCase, activation: ActivationDType): Engine {
  const weightsOf = new WeakMap<Executable, ReadonlyMap<string, DeviceWeight>>();
  /** A case's weights come in the type that they are stored in, or in float32 to become blocks. */
  const storedOf = new WeakMap<DeviceWeight, Uint8Array>();
  const uploadWeight: Engine["uploadWeight"] = async (source, layout) => {
    const given = new Uint8Array(storageBytes(source.dtype, source.rows, source.cols));
    await source.readRows(0, source.rows, given);
    const { dtype: format } = source.spec;
    const stored = isBlockFormat(format)
      ? new Uint8Array(storageBytes(format, source.rows, source.cols))
      : given;
    if (isBlockFormat(format) && isRoundedFormat(format))
      quantise(format, new Float32Array(given.buffer), stored);
    const weight = await engine.uploadWeight(source, layout);
    storedOf.set(weight, stored);
    return weight;
  };
  const load: Engine["load"] = (program, weights) => {
    const executable = engine.load(program, weights);
    weightsOf.set(executable, weights);
    return executable;
  };
  const run: Engine["run"] = async (executable, bindings, options) => {
    writer.text(caseName(test));
    writer.f32(toleranceOf(test, activation, reference));
    writer.block(encodeProgram(caseProgram(native, test, activation)));
    const weights = [...(weightsOf.get(executable) ?? [])];
    writer.u32(weights.length);
    for (const [name, weight] of weights) {
      writer.text(name);
      writeShape(writer, formatCode(weight.format), weight);
      writer.block(storedOf.get(weight) as Uint8Array);
    }
    const symbols = Object.entries(bindings.symbols);
    writer.u32(symbols.length);
    for (const [name, value] of symbols) {
      writer.text(name);
      writer.u32(value);
    }
    const before = new Map<string, HostArray>();
    for (const [name, binding] of deviceBindings(bindings)) before.set(name, await readRows(engine, binding));
    await engine.run(executable, bindings, options);
    const inputs = Object.entries(bindings.buffers).filter(([, binding]) => ArrayBuffer.isView(binding));
    writer.u32(inputs.length);
    for (const [name, data] of inputs as [string, HostArray][]) {
      writer.text(name);
      writer.u32(data instanceof Float32Array ? 0 : data instanceof Int32Array ? 3 : 1);
      writer.array(data);
    }
    writer.u32(before.size);
    for (const [name, binding] of deviceBindings(bindings)) {
      writer.text(name);
      writeTensor(writer, { ...describe(binding), rows: binding.rows }, before.get(name) as HostArray);
      writer.array(await readRows(engine, binding));
    }
  };
  return new Proxy(engine, {
    get(target, key) {
      if (key === "uploadWeight") return uploadWeight;
      if (key === "load") return load;
      if (key === "run") return run;
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

function describe({ tensor }: DeviceRows): Pick<DeviceTensor, "dtype" | "rows" | "cols"> {
  return { dtype: tensor.dtype, rows: tensor.rows, cols: tensor.cols };
}

function writeTensor(
  writer: Writer,
  { dtype, rows, cols }: Pick<DeviceTensor, "dtype" | "rows" | "cols">,
  data: HostArray,
): void {
  writeShape(writer, formatCode(dtype), { rows, cols });
  writer.array(data);
}

function writeShape(writer: Writer, code: number, { rows, cols }: { rows: number; cols: number }): void {
  writer.u32(code);
  writer.u32(rows);
  writer.u32(cols);
}

function deviceBindings(bindings: RunBindings): [string, DeviceRows][] {
  const isRows = (entry: [string, Binding]): entry is [string, DeviceRows] => "tensor" in entry[1];
  return Object.entries(bindings.buffers).filter(isRows);
}

function readRows(engine: Engine, { tensor, firstRow, rows }: DeviceRows): Promise<HostArray> {
  return engine.read(tensor, firstRow, rows);
}

for (const activation of ["f32", "bf16", "f16"] as const) {
  for (const op of LOCAL_OPS) {
    const writer = new Writer();
    const engine = await reference.open();
    // What there are kernels for.
    const cases = OP_CASES[op]().filter(
      ({ weight, cache = activation }) =>
        (isRoundedFormat(weight) || weight === "fp8") && cache === activation,
    );
    writer.u32(cases.length);
    for (const test of cases) await runCase(recording(engine, writer, test, activation), test, activation);
    writeFileSync(join(target, `${op}.${activation}.cases`), writer.finish());
  }
}
