/** A program that keeps the emulator busy for seconds, for what happens while something runs. */
import type { DeviceTensor, DeviceWeight, Engine, Executable } from "../../src/backends/backend.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";

/** Products of a run that ends within a second. */
const SHORT = 100;
/** Products of a run that is meant to be ended: it takes most of a minute and more, each product some milliseconds. */
export const ENDLESS = 20000;
export const WIDTH = 256;

/** By their number of products. */
const programs = new Map<number, VerifiedProgram>();

/** y = x wᵀ wᵀ ..., with rows of WIDTH. With the identity as w, y = x. Compiled once: the endless one takes a while. */
export function longProgram(steps = SHORT): VerifiedProgram {
  let program = programs.get(steps);
  if (program === undefined) {
    const builder = createGraphBuilder({ name: "long", activationDType: "f32", weightDType: () => "f32" });
    const w = builder.weight("w", [WIDTH, WIDTH]);
    let y = builder.input("x", [builder.symbol("rows"), WIDTH], "f32");
    for (let step = 0; step < steps; step++) y = builder.linear({ x: y, w });
    program = compileGraph(builder.finish({ y }));
    programs.set(steps, program);
  }
  return program;
}

export function identity(): Float32Array {
  return Float32Array.from({ length: WIDTH * WIDTH }, (_, index) => (index % (WIDTH + 1) === 0 ? 1 : 0));
}

export interface LongRun {
  readonly executable: Executable;
  readonly y: DeviceTensor;
  readonly w: DeviceWeight;
  readonly x: Float32Array;
  run(rows: number, options?: Parameters<Engine["run"]>[2]): Promise<void>;
}

export async function openLongRun(engine: Engine, mostRows: number, steps = SHORT): Promise<LongRun> {
  const spec = { name: "w", shape: [WIDTH, WIDTH], dtype: "f32", sources: [] } as const;
  const w = await engine.uploadWeight(weightRows(spec, identity()), "plain");
  const executable = engine.load(longProgram(steps), new Map([["w", w]]));
  const y = engine.allocate("f32", mostRows, WIDTH);
  const x = Float32Array.from({ length: mostRows * WIDTH }, (_, index) => index % 97);
  const run: LongRun["run"] = (rows, options) =>
    engine.run(executable, { symbols: { rows }, buffers: { x, y } }, options);
  return { executable, w, y, x, run };
}
