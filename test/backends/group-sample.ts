/** Programs that are partitioned by hand, and what they should give. */
import type { Backend, DeviceWeight, Engine, Executable } from "../../src/backends/backend.ts";
import { createGroupBackend, type GroupOptions } from "../../src/backends/group/backend.ts";
import type { GroupEngine } from "../../src/backends/group/group-engine.ts";
import { compileGraph } from "../../src/compiler/compile.ts";
import { weightRows } from "../../src/conformance/harness.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Value } from "../../src/graph/graph.ts";
import type { VerifiedProgram } from "../../src/program/verify-program.ts";
import { weightLayouts } from "../../src/program/weights.ts";

/** By name: rows of each. */
export type Matrices = Readonly<Record<string, readonly (readonly number[])[]>>;

export interface Partitioned {
  readonly program: VerifiedProgram;
  /** All weights of the whole and of the ranks. */
  readonly weights: Matrices;
}

export function groupOptions(tensor: number, pipeline: number, deadlineMs = 20_000): GroupOptions {
  const devices = Array.from({ length: tensor * pipeline }, (_, rank) => rank);
  return { tensor, pipeline, devices, deadlineMs };
}

export async function openGroup(backend: Backend, options: GroupOptions, programs?: VerifiedProgram[]) {
  return (await createGroupBackend(backend, options).open({
    ...(programs && { programs }),
  })) as GroupEngine;
}

/** Uploads what the program asks for, to whom. */
export async function loadPartitioned(
  engine: Engine,
  { program, weights }: Partitioned,
): Promise<Executable> {
  const uploaded = new Map<string, DeviceWeight>();
  for (const part of program.ranks ?? [program]) {
    const layouts = weightLayouts(part);
    for (const spec of part.weights) {
      const values = (weights[spec.name] as number[][]).flat();
      const layout = layouts.get(spec.name) ?? "plain";
      uploaded.set(spec.name, await engine.uploadWeight(weightRows(spec, values, "f32"), layout));
    }
  }
  return engine.load(program, uploaded);
}

/** A program of one rank, whose weights are that rank's. */
export function rankProgram(
  backend: Backend,
  rank: number,
  build: (g: GraphBuilder) => Readonly<Record<string, Value>>,
): VerifiedProgram {
  const g = createGraphBuilder({
    name: `rank ${rank}`,
    activationDType: backend.activationDType,
    weightDType: () => "f32",
  });
  const program = compileGraph(g.finish(build(g)), { weightLayout: backend.weightLayout });
  return { ...program, weights: program.weights.map((spec) => ({ ...spec, rank })) };
}

export function partitioned(
  whole: VerifiedProgram,
  ranks: readonly VerifiedProgram[],
  weights: Matrices,
): Partitioned {
  return { program: { ...whole, ranks }, weights };
}

const X_COLS = 4;
const OUT = 6;
/** [6, 4] */
const MATRIX = Array.from({ length: OUT }, (_, row) =>
  Array.from({ length: X_COLS }, (_, col) => ((row * 7 + col * 5) % 11) - 5),
);

function linearProgram(backend: Backend): VerifiedProgram {
  return rankProgram(backend, 0, (g) => ({
    y: g.linear({ x: g.input("x", [g.symbol("tokens"), X_COLS], "f32"), w: g.weight("w", [OUT, X_COLS]) }),
  }));
}

/** y = x wᵀ for small integers: exact however it is summed. */
export function expectedLinear(x: Float32Array): Float32Array {
  const rows = x.length / X_COLS;
  return Float32Array.from({ length: rows * OUT }, (_, at) => {
    const [row, col] = [Math.floor(at / OUT), at % OUT];
    return (MATRIX[col] as number[]).reduce((sum, w, k) => sum + w * (x[row * X_COLS + k] as number), 0);
  });
}

export function integers(rows: number, cols = X_COLS): Float32Array {
  return Float32Array.from({ length: rows * cols }, (_, at) => ((at * 3) % 7) - 3);
}

/** Each rank has some columns of w, and sums are added. */
export function rowParallel(backend: Backend, ranks: number): Partitioned {
  const width = X_COLS / ranks;
  const parts = Array.from({ length: ranks }, (_, rank) =>
    rankProgram(backend, rank, (g) => {
      const x = g.slice(
        { x: g.input("x", [g.symbol("tokens"), X_COLS], "f32") },
        { start: rank * width, length: width },
      );
      return { y: g.all_reduce({ x: g.linear({ x, w: g.weight(`w.${rank}`, [OUT, width]) }) }) };
    }),
  );
  const weights = Object.fromEntries(
    parts.map((_, rank) => [`w.${rank}`, MATRIX.map((row) => row.slice(rank * width, (rank + 1) * width))]),
  );
  return partitioned(linearProgram(backend), parts, weights);
}

/** Each rank has some rows of w, in stretches, and columns are joined. */
export function columnParallel(backend: Backend, ranks: number, stretches: number): Partitioned {
  const height = OUT / ranks;
  const run = height / stretches;
  const rowsOf = (rank: number) =>
    Array.from({ length: height }, (_, row) => {
      const stretch = Math.floor(row / run);
      return (stretch * ranks + rank) * run + (row % run);
    });
  const parts = Array.from({ length: ranks }, (_, rank) =>
    rankProgram(backend, rank, (g) => {
      const x = g.input("x", [g.symbol("tokens"), X_COLS], "f32");
      const y = g.linear({ x, w: g.weight(`w.${rank}`, [height, X_COLS]) });
      return { y: g.all_gather({ x: y }, { ranks, stretches }) };
    }),
  );
  const weights = Object.fromEntries(
    parts.map((_, rank) => [`w.${rank}`, rowsOf(rank).map((row) => MATRIX[row] as number[])]),
  );
  return partitioned(linearProgram(backend), parts, weights);
}

/** The first stage doubles x, the second multiplies by w. */
export function twoStages(backend: Backend): Partitioned {
  const whole = rankProgram(backend, 0, (g) => {
    const x = g.input("x", [g.symbol("tokens"), X_COLS], "f32");
    g.input("ids", [g.symbol("tokens")], "i32");
    return { y: g.linear({ x: g.add({ a: x, b: x }), w: g.weight("w", [OUT, X_COLS]) }) };
  });
  const first = rankProgram(backend, 0, (g) => {
    const x = g.input("x", [g.symbol("tokens"), X_COLS], "f32");
    g.send({ x: g.add({ a: x, b: x }) }, { peer: 1 });
    return {};
  });
  const second = rankProgram(backend, 1, (g) => {
    const rows = g.input("ids", [g.symbol("tokens")], "i32");
    const x = g.receive({ rows }, { peer: 0, cols: X_COLS });
    return { y: g.linear({ x, w: g.weight("w.1", [OUT, X_COLS]) }) };
  });
  return partitioned(whole, [first, second], { "w.1": MATRIX });
}
