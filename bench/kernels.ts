/** What the kernel benchmarks share: programs of one op, deterministic data, timing against measured ceilings. */
import { Bench } from "tinybench";
import type { Binding, DeviceTensor, DeviceWeight, Engine, Executable } from "../src/backends/backend.ts";
import { wasmBackend } from "../src/backends/wasm/backend.ts";
import { instantiateKernels } from "../src/backends/wasm/kernels.ts";
import { chooseVariant } from "../src/backends/wasm/variants.ts";
import { compileGraph } from "../src/compiler/compile.ts";
import { storedRows } from "../src/conformance/harness.ts";
import { createGraphBuilder, type GraphBuilder } from "../src/graph/builder.ts";
import type { Value } from "../src/graph/graph.ts";
import { weightLayouts } from "../src/program/weights.ts";
import type { CacheDType, HostArray } from "../src/tensor/dtype.ts";
import { fromFloat32 } from "../src/tensor/elements.ts";
import type { WeightFormat } from "../src/tensor/storage.ts";
import { formatCode } from "../src/tensor/storage.ts";

/** Values in -1..1 from a fixed sequence. */
export function noise(length: number, seed = 1): Float32Array {
  const values = new Float32Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    values[i] = state / 2 ** 31;
  }
  return values;
}

export interface Kernel {
  readonly engine: Engine;
  /** Runs the program once; the result is in `output`. */
  run(): Promise<void>;
  readonly output: DeviceTensor;
}

export interface TimedKernel extends Kernel {
  readonly name: string;
  /** Floating-point operations of a run. */
  readonly operations: number;
}

export type OpenEngine = () => Promise<Engine>;

export interface OneOpOptions {
  readonly weightDType?: WeightFormat | undefined;
  /** Of states; f32 if it is left out. */
  readonly kvCacheDType?: "f32" | CacheDType | undefined;
  /** Makes the engine; that of the package on one thread if it is left out. */
  readonly open?: OpenEngine | undefined;
}

export interface OpInput {
  readonly data: HostArray;
  readonly cols: number;
  readonly isState?: boolean;
}

/** A program of one op on an engine of its own, with its inputs in device memory. */
export async function oneOp(
  build: (builder: GraphBuilder) => Value,
  inputs: Readonly<Record<string, OpInput>>,
  weights: Readonly<Record<string, Float32Array>>,
  shape: readonly [rows: number, cols: number],
  { weightDType = "f32", kvCacheDType = "f32", open = wasmBackend.open }: OneOpOptions = {},
): Promise<Kernel> {
  const engine = await open();
  const builder = createGraphBuilder({
    name: "bench",
    activationDType: "f32",
    weightDType: () => weightDType,
    ...(kvCacheDType === "f32" ? {} : { kvCacheDType }),
  });
  const program = compileGraph(builder.finish({ y: build(builder) }), {
    weightLayout: wasmBackend.weightLayout,
  });
  const layouts = weightLayouts(program);
  const stored = new Map<string, DeviceWeight>();
  for (const spec of program.weights) {
    const layout = layouts.get(spec.name) ?? "plain";
    stored.set(spec.name, await engine.uploadWeight(storedRows(spec, weights[spec.name] ?? []), layout));
  }
  const executable: Executable = engine.load(program, stored);
  const output = engine.allocate("f32", ...shape);
  const buffers: Record<string, Binding> = { y: output };
  for (const [name, { data, cols, isState }] of Object.entries(inputs)) {
    const dtype = data instanceof Int32Array ? "i32" : isState ? kvCacheDType : "f32";
    const tensor = engine.allocate(dtype, data.length / cols, cols);
    engine.write(tensor, 0, data instanceof Float32Array ? fromFloat32(dtype, data) : data);
    buffers[name] = tensor;
  }
  return { engine, output, run: () => engine.run(executable, { symbols: {}, buffers }) };
}

/** The engine compiles hot functions again in the background; it gets this long to do so. */
const WARM_UP_PAUSE_MS = 40;

async function warmUp(run: () => unknown): Promise<void> {
  for (let turn = 0; turn < 4; turn++) {
    await run();
    await new Promise((resolve) => setTimeout(resolve, WARM_UP_PAUSE_MS));
  }
}

/**
 * The shortest of several runs, in seconds of this process' own time on a processor: other work on the machine does
 * not count, as far as it only waits for the processor too.
 */
export async function fastest(name: string, run: () => unknown, iterations = 9): Promise<number> {
  await warmUp(run);
  const bench = new Bench({ iterations, time: 0, warmup: false, throws: true, now: processorMs });
  bench.add(name, async () => {
    await run();
  });
  const [task] = await bench.run();
  const { result } = task as NonNullable<typeof task>;
  if (!("latency" in result)) throw new Error(`${name} did not complete`);
  return result.latency.min / 1000;
}

/** Of this process, on all its threads. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function chosenKernels() {
  const choice = chooseVariant({ threads: false });
  if ("reason" in choice) throw new Error(choice.reason);
  return instantiateKernels(choice.variant);
}

/** What is timed beside others: its name, how much it does in one go, and how. */
export interface Contender {
  readonly name: string;
  /** Of operations, or bytes. */
  readonly amount: number;
  run(): unknown;
}

export const asContender = ({ name, operations, run }: TimedKernel): Contender => ({
  name,
  amount: operations,
  run,
});

/**
 * Amounts a second, in billions, by name: the median of several turns, in each of which all have run once, so that a machine
 * that is slow for a while is so for all.
 */
export async function inTurns(contenders: readonly Contender[], turns = 9): Promise<Map<string, number>> {
  for (const { run } of contenders) await warmUp(run);
  const speeds = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let turn = 0; turn < turns; turn++) {
    for (const { name, amount, run } of contenders) {
      const begun = processorMs();
      await run();
      speeds.get(name)?.push(amount / (processorMs() - begun) / 1e6);
    }
  }
  return new Map([...speeds].map(([name, found]) => [name, median(found)]));
}

const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1] as number;

/** The ceilings, to be timed in turns with what they are ceilings of. */
export async function arithmeticContender(): Promise<Contender> {
  const kernels = await chosenKernels();
  const iterations = 2e6;
  const run = () => kernels.glimt_peak_arithmetic(iterations, 0.5, 0.25);
  return { name: "multiply-adds in registers", amount: 96 * iterations, run };
}

/** What products with such weights are made of, as the host has to do it. */
export async function productContender(format: "q4" | "q8"): Promise<Contender> {
  const kernels = await chosenKernels();
  const iterations = 3e5;
  return {
    name: `${format} products in L1`,
    amount: 2560 * iterations,
    run: () => kernels.glimt_peak_product(iterations, formatCode(format), 0x01020304),
  };
}

export async function readContender(): Promise<Contender> {
  const kernels = await chosenKernels();
  // More than the caches that cores share.
  const bytes = 1 << 30;
  const memory = kernels.glimt_allocate(bytes);
  // Memory that was never written is one page of zeros to the machine.
  new Uint8Array(kernels.memory.buffer, memory, bytes).fill(1);
  return { name: "reading memory once", amount: bytes, run: () => kernels.glimt_peak_read(memory, bytes) };
}

async function fastestSpeed({ name, amount, run }: Contender): Promise<number> {
  return amount / (await fastest(name, run)) / 1e9;
}

/** Multiply-adds in registers, GFLOP/s, measured now. */
export const arithmeticCeiling = async () => fastestSpeed(await arithmeticContender());

/** Reading memory once, GB/s, measured now. */
export const readCeiling = async () => fastestSpeed(await readContender());

/** @throws when the kernel's result is off by more than 2e-4 of the expected values' scale anywhere. */
export function checkResult(
  name: string,
  found: HostArray,
  expected: ReadonlyArray<readonly [index: number, value: number]>,
) {
  const scale = Math.sqrt(expected.reduce((sum, [, value]) => sum + value * value, 0) / expected.length);
  for (const [index, value] of expected) {
    const difference = Math.abs((found[index] as number) - value);
    if (!(difference <= 2e-4 * scale)) {
      throw new Error(`${name}: element ${index} is ${found[index]}, expected ${value}; not timing it`);
    }
  }
}

export function row(...cells: readonly (string | number)[]): string {
  const text = cells.map((cell) => (typeof cell === "number" ? cell.toFixed(1) : cell));
  return text.map((cell, index) => (index === 0 ? cell.padEnd(34) : cell.padStart(10))).join("");
}
