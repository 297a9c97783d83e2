import { test } from "uvu";
import * as assert from "uvu/assert";
import { compileGraph, optimizeGraph } from "../../src/compiler/compile.ts";
import { printGraph, printProgram } from "../../src/compiler/print.ts";
import { denseConfig, moeConfig, ocrConfig } from "../../src/conformance/model-configs.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Graph } from "../../src/graph/graph.ts";
import { OPS } from "../../src/graph/ops.ts";
import { buildDecoder } from "../../src/models/decoder.ts";
import { buildVisionTower } from "../../src/models/vision-tower.ts";
import { decodeProgram, encodeProgram } from "../../src/program/encoding.ts";
import type { Program } from "../../src/program/program.ts";
import { slotBytes } from "../../src/program/sizes.ts";

const options = { activationDType: "f32", weightDType: (): "bf16" => "bf16" } as const;
const symbols = {
  patches: 16,
  frames: 1,
  tokens: 7,
  sequences: 2,
  blocks: 3,
  pages: 9,
  slab: 6,
  features: 4,
  logits: 2,
  adjusted: 1,
  changes: 3,
  masks: 1,
};

const graphs: readonly Graph[] = [denseConfig, ocrConfig, moeConfig].flatMap((config) => [
  buildVisionTower(config.vision, options),
  buildDecoder(config, { ...options, pageSize: 16 }),
]);

function builder(): GraphBuilder {
  return createGraphBuilder({ name: "test", activationDType: "f32", weightDType: () => "f32" });
}

function ops(program: Program): string[] {
  return program.instructions.map(({ op }) => op);
}

test("bytes give back the same program", () => {
  for (const graph of graphs) {
    const program = compileGraph(graph);
    const decoded = decodeProgram(encodeProgram(program));
    // Float attributes travel as float32.
    const rounded = program.instructions.map((instruction) => ({
      ...instruction,
      attrs: instruction.attrs.map((value, index) =>
        Object.values(OPS[instruction.op].attrs)[index] === "f32" ? Math.fround(value) : value,
      ),
    }));
    assert.equal(decoded, { ...program, instructions: rounded, weights: [] });
  }
});

test("damaged bytes are refused", () => {
  const bytes = encodeProgram(compileGraph(graphs[0]!));
  const changed = (offset: number, value: number) => {
    const copy = bytes.slice();
    new DataView(copy.buffer).setUint32(offset, value, true);
    return copy;
  };
  const cases: [string, Uint8Array, RegExp][] = [
    ["magic", changed(0, 1), /no program/],
    ["version", changed(4, 999), /version 999/],
    ["truncated", bytes.slice(0, bytes.length - 8), /length/],
    ["counts", changed(24, 0xffffffff), /early|exist/],
    ["empty", new Uint8Array(0), /early/],
  ];
  for (const [name, damaged, message] of cases) {
    assert.throws(
      () => decodeProgram(damaged),
      (error: { code: string; message: string }) => {
        assert.is(error.code, "PROGRAM_INVALID", name);
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

test("bias, residual + norm, q/k/v and gate/up are fused", () => {
  for (const graph of graphs) {
    const names = ops(compileGraph(graph));
    assert.not(names.includes("add_bias"), `${graph.name}: a bias stands alone`);
    assert.ok(names.includes("add_rms_norm") || names.includes("rms_norm_add_rms_norm"));
  }
  const decoder = compileGraph(graphs[1]!);
  const weights = decoder.weights.map(({ name }) => name);
  assert.ok(weights.some((name) => /q_proj.weight \+ .*k_proj.weight \+ .*v_proj.weight$/.test(name)));
  const tower = compileGraph(graphs[0]!);
  assert.ok(tower.weights.some(({ name }) => /gate_proj.weight \+ .*up_proj.weight$/.test(name)));
});

test("temporaries that share a slot never live at the same time", () => {
  for (const graph of graphs) {
    const program = compileGraph(graph);
    const spans = new Map<number, [first: number, last: number]>();
    program.instructions.forEach(({ inputs, outputs }, index) => {
      for (const tensor of [...inputs, ...outputs]) {
        const { buffer } = program.tensors[tensor]!;
        const span = spans.get(buffer);
        spans.set(buffer, [span?.[0] ?? index, index]);
      }
    });
    const temporaries = program.buffers.flatMap((buffer, index) =>
      buffer.slot >= 0 ? [{ ...buffer, index }] : [],
    );
    for (const a of temporaries) {
      for (const b of temporaries) {
        if (a.index >= b.index || a.slot !== b.slot) continue;
        const [firstA, lastA] = spans.get(a.index)!;
        const [firstB, lastB] = spans.get(b.index)!;
        assert.ok(
          lastA < firstB || lastB < firstA,
          `${graph.name}: buffers ${a.index} and ${b.index} overlap`,
        );
      }
    }
    assert.ok(slotBytes(program, symbols).every((bytes) => bytes > 0));
  }
});

test("a state is never a temporary, and unused work is dropped", () => {
  const g = builder();
  const x = g.input("x", [g.symbol("m"), 4], "f32");
  // The first of them is read, but by the second alone.
  g.gelu({ x: g.gelu({ x }) });
  const graph = g.finish({ y: g.add({ a: x, b: x }) });
  assert.equal(ops(compileGraph(graph)), ["add"]);
});

test("an input is never overwritten in place", () => {
  const g = builder();
  const x = g.input("x", [g.symbol("m"), 4], "f32");
  const program = compileGraph(g.finish({ y: g.gelu({ x: g.gelu({ x }) }) }));
  const [first] = program.instructions;
  assert.is.not(program.tensors[first!.inputs[0]!]!.buffer, program.tensors[first!.outputs[0]!]!.buffer);
});

test("errors name the op and both shapes", () => {
  const g = builder();
  const x = g.input("x", [g.symbol("m"), 4], "f32");
  const cases: [() => unknown, RegExp][] = [
    [
      () => g.linear({ x, w: g.weight("w", [3, 5]) }),
      /linear: w has shape \[3, 5\], expected \[n, k\] with x \[m, 4\]/,
    ],
    [() => g.add({ a: x, b: g.input("z", [g.symbol("n"), 4], "f32") }), /add: b has shape \[n, 4\]/],
    [() => g.slice({ x }, { start: 3, length: 2 }), /slice: start\+length = 5 is not at most k = 4/],
    [
      () => g.embed({ ids: x, table: g.weight("t", [3, 5]) }, { first: 0, total: 3 }),
      /embed: ids is f32, expected i32/,
    ],
    [
      () => g.rms_norm({ x, w: g.weight("n", [3]) }, { eps: 1e-5 }),
      /rms_norm: k = 4 is not a multiple of n = 3/,
    ],
    [() => g.gelu({ x: g.weight("n2", [3]) }), /gelu: x has shape \[3\]/],
    [() => g.input("x", [1], "f32"), /"x" is declared twice/],
    [() => g.rms_norm({ x, w: g.weight("n4", [4]) }, { eps: Number.NaN }), /attribute "eps" is NaN/],
  ];
  for (const [act, message] of cases) {
    assert.throws(act, (error: { code: string; message: string }) => {
      assert.is(error.code, "GRAPH_INVALID");
      assert.match(error.message, message);
      return true;
    });
  }
});

test("what an op reads twice it does not overwrite", () => {
  const g = builder();
  const x = g.gelu({ x: g.input("x", [g.symbol("m"), 4], "f32") });
  const program = compileGraph(g.finish({ y: g.gelu({ x: g.add({ a: x, b: x }) }) }));
  assert.equal(ops(program), ["gelu", "add", "gelu"]);
});

test("verification catches a use before its definition and after an overwrite", () => {
  const [graph] = graphs;
  const reversed = { ...graph!, nodes: [...graph!.nodes].reverse() };
  assert.throws(() => optimizeGraph(reversed), /used before it is computed/);

  const g = builder();
  const x = g.add({ a: g.input("x", [4, 4], "f32"), b: g.input("z", [4, 4], "f32") });
  const y = g.scatter_rows({ x, values: g.input("v", [1, 4], "f32"), rows: g.input("r", [1], "i32") });
  assert.throws(() => optimizeGraph(g.finish({ out: g.add({ a: x, b: y }) })), /after it was overwritten/);
});

test("verification catches what a pass changes under nodes that it keeps", () => {
  const g = builder();
  const y = g.gelu({ x: g.input("x", [4, 4], "f32") });
  const graph = g.finish({ y });
  const widens = (current: Graph): Graph => ({
    ...current,
    values: current.values.map((value) => (value.id === y.id ? { ...value, shape: [4, 5] } : value)),
  });
  const retypes = (current: Graph): Graph => ({ ...current, activationDType: "bf16" });
  const repeats = (current: Graph): Graph => ({ ...current, nodes: [...current.nodes, ...current.nodes] });
  const swaps = (current: Graph): Graph => ({ ...current, values: current.values.toReversed() });
  for (const [run, message] of [
    [widens, /after broken at \.gelu: y is f32\[4, 5\], the op gives f32\[4, 4\]/],
    [retypes, /x is f32, expected bf16/],
    [repeats, /y is computed twice/],
    [swaps, /value \d stands at/],
  ] as const) {
    assert.throws(() => optimizeGraph(graph, { passes: [{ name: "broken", run }] }), message);
  }
});

test("listings show every instruction and the bytes", () => {
  const graph = graphs[1]!;
  const program = compileGraph(graph);
  const text = printProgram(program, symbols);
  assert.is(text.split("\n").length, 2 + program.instructions.length);
  assert.match(
    text,
    /rope_attention_paged\(.*\{numHeads=4, numKvHeads=2, headDim=8, rotaryDim=4, .*pageSize=16/,
  );
  assert.match(text, /temporaries [\d.]+ KiB in \d+ slots/);
  assert.match(printGraph(graph), /return logits=%\d+, tokens=%/);
});

test.run();
