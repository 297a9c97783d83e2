/** Graphs at random, of ops that rows go through: whatever their rules make of them, ranks compute what one device does. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compileGraph } from "../../src/compiler/compile.ts";
import { removeDead } from "../../src/compiler/passes/remove-dead.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Graph, Value } from "../../src/graph/graph.ts";
import type { NodeQuery } from "../../src/graph/node-query.ts";
import { OPS } from "../../src/graph/ops.ts";
import { symbolDim } from "../../src/tensor/dims.ts";
import { fc } from "../property.ts";
import { LockstepRank, runLockstep } from "./lockstep.ts";
import { compareResults, type Results } from "./rank-runs.ts";
import { tensorRows } from "./tensor-rows.ts";

/** What is done next: an op, which of the values before it reads, and a number that it takes. */
interface Step {
  readonly op: (typeof STEPS)[number];
  readonly reads: readonly [number, number];
  readonly size: number;
}

const STEPS = [
  "linear",
  "linear",
  "bias",
  "add",
  "norm",
  "head norm",
  "gelu",
  "swiglu",
  "slice",
  "layer",
  "scatter",
] as const;
const ROWS = symbolDim("rows");
/** Widths that two and four ranks can share. */
const WIDTHS = [8, 16, 24] as const;

function graphOf(steps: readonly Step[]): Graph {
  const g = createGraphBuilder({ name: "random", activationDType: "f32", weightDType: () => "f32" });
  const ids = g.input("ids", [ROWS], "i32");
  const values: Value[] = [
    g.input("x", [ROWS, 16], "f32"),
    g.embed({ ids, table: g.weight("table", [24, 16]) }, { first: 0, total: 24 }),
  ];
  let layer = 0;
  for (const [index, step] of steps.entries()) {
    if (step.op === "layer") layer++;
    const [a, b] = step.reads.map((read) => values[read % values.length]) as [Value, Value];
    const scope = layer === 0 ? "embed" : `layers.${layer - 1}`;
    const made = g.scope(scope, () => stepOf(g, step, a, b, `w${index}`, ids));
    if (made) values.push(made);
  }
  const results = values
    .slice(-2)
    .filter((value, at, all) => value.origin.kind === "computed" && all.indexOf(value) === at);
  return g.finish(Object.fromEntries(results.map((value, at) => [`y${at}`, g.gelu({ x: value })])));
}

function stepOf(
  g: GraphBuilder,
  { op, size }: Step,
  a: Value,
  b: Value,
  name: string,
  ids: Value,
): Value | null {
  const width = WIDTHS[size % WIDTHS.length] as number;
  const isAlike = cols(a) === cols(b);
  switch (op) {
    case "linear":
      return g.linear({ x: a, w: g.weight(name, [width, cols(a)]) });
    case "bias":
      return g.add_bias({ x: a, bias: g.weight(name, [cols(a)]) });
    case "add":
      return isAlike ? g.add({ a, b }) : null;
    case "norm":
      return g.rms_norm({ x: a, w: g.weight(name, [cols(a)]) }, { eps: 1e-5 });
    case "head norm":
      return g.rms_norm({ x: a, w: g.weight(name, [4]) }, { eps: 1e-5 });
    case "gelu":
      return g.gelu({ x: a });
    case "swiglu":
      return isAlike ? g.swiglu({ gate: a, up: b }) : null;
    case "slice":
      return g.slice({ x: a }, { start: 8 * (size % (cols(a) / 8)), length: 8 });
    case "layer":
      return null;
    case "scatter":
      // Into memory of its own: a value that others read stays.
      return isAlike ? g.scatter_rows({ x: g.gelu({ x: a }), values: b, rows: ids }) : null;
  }
}

function cols(value: Value): number {
  return value.shape[1] as number;
}

const step = fc.record({
  // Layers end often enough for three stages.
  op: fc.constantFrom(...STEPS, "layer", "layer"),
  reads: fc.tuple(fc.nat(30), fc.nat(30)),
  size: fc.nat(5),
});

async function compute(graph: Graph, tensor: number, cuts: readonly number[]): Promise<void> {
  // A fused op rounds once where its steps round twice, and stages end anywhere here.
  const supports = ({ op }: NodeQuery) => !("composition" in OPS[op]);
  const program = compileGraph(graph, { supports, partition: { tensor, cuts } });
  const open = async (programs: readonly (typeof program)[]) => {
    const ranks = programs.map((one) => new LockstepRank(one));
    for (const rank of ranks) await rank.load(tensorRows);
    return ranks;
  };
  const symbols = { rows: 3 };
  const inputs = {
    ids: Int32Array.of(2, 0, 1),
    x: Float32Array.from({ length: 48 }, (_, at) => Math.sin(at + 1)),
  };
  const [expected] = runLockstep(await open([program]), 1, symbols, inputs);
  const found = runLockstep(await open(program.ranks ?? []), tensor, symbols, inputs);
  // Results may be of several stages.
  for (const rank of Array.from({ length: tensor }).keys()) {
    const own = new Map(
      found.filter((_, index) => index % tensor === rank).flatMap((results) => [...results]),
    );
    compareResults(own, expected as Results, tensor === 1);
  }
}

for (const [tensor, pipeline] of [
  [2, 1],
  [4, 1],
  [2, 2],
  [1, 3],
] as const) {
  test(`${tensor} tensor ranks, ${pipeline} stages`, async () => {
    let shared = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
        const graph = removeDead.run(graphOf(steps));
        const layers =
          graph.nodes.reduce((most, { scope }) => Math.max(most, Number(/\d+/.exec(scope)?.[0] ?? -1)), -1) +
          1;
        if (Object.keys(graph.outputs).length === 0 || layers < pipeline) return;
        const cuts = Array.from({ length: pipeline - 1 }, (_, index) => index + 1);
        await compute(graph, tensor, cuts);
        shared++;
      }),
      { numRuns: 150 },
    );
    assert.ok(shared > 10, `${shared} were shared`);
  });
}

test.run();
