/** Small programs that the tests of the WebAssembly backend run. */
import type { DeviceWeight, Engine } from "../../src/backends/backend.ts";
import { wasmBackend } from "../../src/backends/wasm/backend.ts";
import { instantiateKernels, type Kernels } from "../../src/backends/wasm/kernels.ts";
import { chooseVariant } from "../../src/backends/wasm/variants.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import type { OpCase } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/graph.ts";
import { LOCAL_OPS } from "../../src/graph/ops.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";
import { weightLayouts } from "../../src/program/weights.ts";
import type { WeightFormat } from "../../src/tensor/storage.ts";

/** Every case that there are kernels for. */
export function wasmCases(): OpCase[] {
  return LOCAL_OPS.flatMap((op) => OP_CASES[op]()).filter(({ weight }) => weight !== "fp8");
}

/** An instance of the module that this host runs. */
export function chosenKernels(): Promise<Kernels> {
  const choice = chooseVariant({ threads: false });
  if ("reason" in choice) throw new Error(choice.reason);
  return instantiateKernels(choice.variant);
}

export function programOf(
  build: (builder: GraphBuilder) => Record<string, Value>,
  weightDType: WeightFormat = "f32",
): VerifiedProgram {
  const builder = createGraphBuilder({
    name: "sample",
    activationDType: "f32",
    weightDType: () => weightDType,
  });
  return compileGraph(builder.finish(build(builder)), {
    passes: [],
    weightLayout: wasmBackend.weightLayout,
  });
}

/** y = depth times linear(x, w) for [tokens, width] rows. */
export function deepProgram(width: number, depth: number): VerifiedProgram {
  return programOf((builder) => {
    let x = builder.input("x", [builder.symbol("tokens"), width], "f32");
    const w = builder.weight("w", [width, width]);
    for (let layer = 0; layer < depth; layer++) x = builder.linear({ x, w });
    return { y: x };
  });
}

/** y = table[ids] gathered by rows, then written back at places. */
export function indexProgram(): VerifiedProgram {
  return programOf((builder) => {
    const tokens = builder.symbol("tokens");
    const ids = builder.input("ids", [tokens], "i32");
    const x = builder.embed({ ids, table: builder.weight("table", [4, 3]) }, { first: 0, total: 4 });
    return { y: builder.gather_rows({ x, rows: builder.input("rows", [tokens], "i32") }) };
  });
}

export async function uploadAll(
  engine: Pick<Engine, "uploadWeight">,
  program: VerifiedProgram,
  values: (name: string, size: number) => ArrayLike<number>,
): Promise<Map<string, DeviceWeight>> {
  const weights = new Map<string, DeviceWeight>();
  const layouts = weightLayouts(program);
  for (const spec of program.weights) {
    const layout = layouts.get(spec.name) ?? "plain";
    const size = spec.shape.reduce((product, dim) => product * dim, 1);
    weights.set(spec.name, await engine.uploadWeight(weightRows(spec, values(spec.name, size)), layout));
  }
  return weights;
}

/** Values in -1..1 that repeat with no short period. */
export function wave(size: number, seed = 1): Float32Array {
  return new Float32Array(size).map((_, index) => Math.sin(index * 1.7 + seed));
}

export async function failure(action: () => unknown): Promise<{ code: string | undefined; message: string }> {
  try {
    await action();
  } catch (error) {
    return { code: (error as { code?: string }).code, message: String(error) };
  }
  return { code: undefined, message: "nothing was thrown" };
}
