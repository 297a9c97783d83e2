/** glimt's kernels alone: what the machine can do at best, and single matrix products. `kernels.js` */
import type { CeilingLoop, DeviceWeight, Engine } from "../../src/backends/backend.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import { createGraphBuilder } from "../../src/graph/builder.ts";
import { wasmBackend } from "../../src/node-files.ts";
import { weightLayouts } from "../../src/program/weights.ts";
import { WEIGHT_FORMATS, type WeightFormat } from "../../src/tensor/storage.ts";
import { noise } from "../kernels.ts";
import { serve, stopwatch } from "./child.mjs";

interface LinearRequest {
  readonly format: WeightFormat;
  readonly rows: number;
  readonly size: number;
  readonly threads: number;
  readonly repeats: number;
}

interface Linear {
  readonly engine: Engine;
  run(): Promise<void>;
}

const engines = new Map<number, Promise<Engine>>();
const linears = new Map<string, Promise<Linear>>();

function engineOf(threads: number): Promise<Engine> {
  const known = engines.get(threads) ?? wasmBackend.open({ threads });
  engines.set(threads, known);
  return known;
}

const loops = new Map<number, readonly CeilingLoop[]>();

/** Made once, with the memory that is read. */
function loopsOf(engine: Engine, threads: number): readonly CeilingLoop[] {
  const known = loops.get(threads) ?? engine.ceilingLoops?.() ?? [];
  loops.set(threads, known);
  return known;
}

/** Best of `repeats` of each loop, or of the one that is wanted, in operations or bytes a second. */
async function ceilings({ threads, repeats, only }: { threads: number; repeats: number; only?: string }) {
  const engine = await engineOf(threads);
  const found: Record<string, number> = {};
  for (const loop of loopsOf(engine, threads).filter(({ name }) => name === (only ?? name))) {
    for (let index = 0; index < repeats; index++) {
      const elapsed = stopwatch();
      const amount = await loop.run();
      const { ms, cpuMs } = elapsed();
      // One thread's own time leaves out what other work took of its processor.
      const taken = threads === 1 ? cpuMs : ms;
      found[loop.name] = Math.max(found[loop.name] ?? 0, (1000 * amount) / taken);
    }
  }
  return { ceilings: found };
}

/** `rows` x `size` times `size` x `size`, which keeps its place until the process ends. */
async function openLinear({ format, rows, size, threads }: LinearRequest): Promise<Linear> {
  if (!WEIGHT_FORMATS.includes(format)) throw new Error(`no storage format ${format}`);
  const engine = await engineOf(threads);
  const builder = createGraphBuilder({
    name: "linear",
    activationDType: "f32",
    weightDType: () => format,
  });
  const x = builder.input("x", [rows, size], "f32");
  const y = builder.linear({ x, w: builder.weight("w", [size, size]) });
  const program = compileGraph(builder.finish({ y }), {
    supports: (query) => wasmBackend.supports(query).ok,
    weightLayout: wasmBackend.weightLayout,
  });
  const layouts = weightLayouts(program);
  const weights = new Map<string, DeviceWeight>();
  for (const spec of program.weights) {
    const values = weightRows(spec, noise(size * size, 5));
    weights.set(spec.name, await engine.uploadWeight(values, layouts.get(spec.name) ?? "plain"));
  }
  const executable = engine.load(program, weights);
  const buffers = { x: engine.allocate("f32", rows, size), y: engine.allocate("f32", rows, size) };
  engine.write(buffers.x, 0, noise(rows * size, 3));
  return { engine, run: () => engine.run(executable, { symbols: {}, buffers }) };
}

async function linear(request: LinearRequest) {
  const { format, rows, size, threads, repeats } = request;
  const key = [format, rows, size, threads].join(" ");
  const opened = linears.get(key) ?? openLinear(request);
  linears.set(key, opened);
  const { run } = await opened;
  const times = [];
  for (let index = 0; index < repeats; index++) {
    const elapsed = stopwatch();
    await run();
    times.push(elapsed());
  }
  return { times, operations: 2 * rows * size * size };
}

await serve({ about: async () => ({ about: "kernels alone" }), ceilings, linear });
