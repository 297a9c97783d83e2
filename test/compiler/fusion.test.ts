/** Fused ops: where they are found, where they must not be, and that they are what their compositions are. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backends/backend.ts";
import { referenceBackend } from "../../src/backends/reference/backend.ts";
import { KERNELS } from "../../src/backends/reference/kernels.ts";
import { compileGraph, DEFAULT_PASSES, optimizeGraph } from "../../src/compiler/compile.ts";
import { applyAdapters } from "../../src/compiler/passes/apply-adapters.ts";
import { fuseCompositions } from "../../src/compiler/passes/fuse-compositions.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { caseName } from "../../src/conformance/case.ts";
import { OP_CASES } from "../../src/conformance/cases.ts";
import { compareRuns, TOLERANCES } from "../../src/conformance/compare.ts";
import { caseProgram, runCase } from "../../src/conformance/harness.ts";
import { denseConfig, moeConfig, ocrConfig } from "../../src/conformance/model-configs.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Graph } from "../../src/graph/graph.ts";
import type { NodeQuery, Supports } from "../../src/graph/node-query.ts";
import type { OpDefinition } from "../../src/graph/op-definition.ts";
import { LOCAL_OPS, OPS, type OpName } from "../../src/graph/ops.ts";
import { buildDecoder } from "../../src/models/decoder.ts";
import { isBlockFormat } from "../../src/tensor/storage.ts";
import { fullAdapter } from "./full-adapter.ts";

const options = { activationDType: "f32", weightDType: (): "bf16" => "bf16", pageSize: 16 } as const;
const answer =
  (supports: Supports): Backend["supports"] =>
  (query) =>
    supports(query) ? { ok: true } : { ok: false, reason: "a test" };
const isFused = (op: OpName) => (OPS[op] as OpDefinition).composition !== undefined;

/** Instructions of a decoder, by layer. */
function layerOps(config: ModelConfig, layer: number, adapted = false): OpName[] {
  const graph = buildDecoder(config, options);
  const passes = adapted
    ? [applyAdapters([fullAdapter(graph, "one", 2)]), ...DEFAULT_PASSES]
    : DEFAULT_PASSES;
  return compileGraph(graph, { passes })
    .instructions.filter(({ scope }) => scope === `layers.${layer}` || scope.startsWith(`layers.${layer}.`))
    .map(({ op }) => op);
}

// A layer's first norm is fused with the end of the layer before.
const FIRST_NORM: readonly OpName[] = ["rms_norm"];
const ATTENTION: readonly OpName[] = ["rope_attention_paged"];
const MLP: readonly OpName[] = ["linear_swiglu", "linear"];
const SANDWICH: readonly OpName[] = ["rms_norm_add_rms_norm"];

test("a decoder layer is so many instructions", () => {
  const dense = (qkv: OpName): OpName[] => [qkv, ...ATTENTION, "linear", ...SANDWICH, ...MLP, ...SANDWICH];
  assert.equal(layerOps(ocrConfig, 0), [...FIRST_NORM, ...dense("linear")]);
  assert.equal(layerOps(denseConfig, 0), [...FIRST_NORM, ...dense("linear_bias")]);
  const moe = [...FIRST_NORM, "linear_bias", ...ATTENTION, "linear", "add_rms_norm"];
  assert.equal(layerOps(moeConfig, 0), [...moe, ...MLP, "add_rms_norm"]);
});

test("a layer with an adapter on every linear is so many instructions", () => {
  const ops = layerOps(ocrConfig, 0, true);
  const sums: OpName[] = ["add", "add", "add"];
  // What an adapter adds to the output of a part is fused with the norm behind it.
  const norms: OpName[] = ["add_rms_norm", "add_rms_norm"];
  assert.equal(
    ops.filter((op) => op !== "linear"),
    [...FIRST_NORM, ...sums, ...ATTENTION, ...norms, "add", "swiglu", ...norms],
  );
  assert.is(ops.filter((op) => op === "linear").length, 4 + 10);
});

/** A kernel of its own must not change what the op is; the other fused ops are compositions for the reference too. */
const REFERENCE_FUSED = LOCAL_OPS.filter((op) => isFused(op) && op in KERNELS);

for (const op of REFERENCE_FUSED) {
  for (const activation of ["f32", "bf16"] as const) {
    test(`${op} is its composition, ${activation}`, async () => {
      const engine = await referenceBackend.open();
      for (const item of OP_CASES[op]()) {
        const whole = await runCase(engine, item, activation);
        const simple = caseProgram(
          { ...referenceBackend, supports: answer(({ op }) => !isFused(op)) },
          item,
          activation,
        );
        const composed = await runCase(engine, item, activation, simple);
        // Sums of blocks begin with the bias; a composition ends with it.
        const isExact = item.exact && !isBlockFormat(item.weight);
        const { failure } = compareRuns(composed, whole, isExact ? 0 : TOLERANCES[activation]);
        assert.is(failure, undefined, caseName(item));
      }
      engine.dispose();
    });
  }
}

test("expanding gives back the ops that were fused", () => {
  for (const config of [denseConfig, ocrConfig, moeConfig]) {
    const graph = buildDecoder(config, options);
    const names = (passes: typeof DEFAULT_PASSES) =>
      optimizeGraph(graph, { passes, supports: ({ op }) => !isFused(op) })
        .nodes.map(({ op }) => op)
        .sort();
    assert.ok(!names(DEFAULT_PASSES).some(isFused));
    assert.equal(names([fuseCompositions]), names([]));
  }
});

test("what is fused is asked for a node with the formats of its operands", () => {
  const g = createGraphBuilder({
    name: "test",
    activationDType: "f32",
    weightDType: ([name]) => (name === "a" ? "bf16" : "f16"),
  });
  const gated = (name: string) => {
    const both = g.linear({ x: g.input(`${name}x`, [g.symbol("m"), 4], "f32"), w: g.weight(name, [16, 4]) });
    const half = (start: number) => g.slice({ x: both }, { start, length: 8 });
    return g.swiglu({ gate: half(0), up: half(8) });
  };
  const graph = g.finish({ a: gated("a"), b: gated("b") });
  const asked: NodeQuery[] = [];
  const supports: Supports = (query) => {
    asked.push(query);
    return query.formats.w === "bf16";
  };
  const ops = optimizeGraph(graph, { passes: [fuseCompositions], supports }).nodes.map(({ op }) => op);
  assert.equal(ops, ["linear_swiglu", "linear", "slice", "slice", "swiglu"]);
  assert.equal(asked[0], {
    op: "linear_swiglu",
    attrs: { width: 8 },
    activation: "f32",
    formats: { x: "f32", w: "bf16" },
  });
  // A fused op that a graph holds already is expanded, by the same question.
  const fused = optimizeGraph(graph, { passes: [fuseCompositions] });
  const expanded = optimizeGraph(fused, { passes: [], supports }).nodes.map(({ op }) => op);
  assert.equal(expanded, ["linear_swiglu", "linear", "slice", "slice", "swiglu"]);
});

function build(body: (g: GraphBuilder) => Graph): OpName[] {
  const g = createGraphBuilder({ name: "test", activationDType: "f32", weightDType: () => "f32" });
  return optimizeGraph(body(g), { passes: [fuseCompositions] }).nodes.map(({ op }) => op);
}
const input = (g: GraphBuilder, name = "x") => g.input(name, [g.symbol("m"), 4], "f32");
const weight = (g: GraphBuilder, name: string) => g.weight(name, [4]);

test("a hidden value that others read, or that is a result, stays", () => {
  const biased = (g: GraphBuilder) => {
    const y = g.linear({ x: input(g), w: g.weight("w", [4, 4]) });
    return { y, z: g.add_bias({ x: y, bias: weight(g, "b") }) };
  };
  const read = build((g) => {
    const { y, z } = biased(g);
    return g.finish({ out: g.add({ a: y, b: z }) });
  });
  assert.equal(read, ["linear", "add_bias", "add"]);
  const result = build((g) => g.finish(biased(g)));
  assert.equal(result, ["linear", "add_bias"]);
});

test("a kept value may be read after the fused op, not before", () => {
  const sums = (isBefore: boolean) =>
    build((g) => {
      const sum = g.add({ a: input(g), b: input(g, "z") });
      const norm = () => g.rms_norm({ x: sum, w: weight(g, "w") }, { eps: 1e-5 });
      const first = isBefore ? g.gelu({ x: sum }) : norm();
      const second = isBefore ? norm() : g.gelu({ x: sum });
      return g.finish({ first, second });
    });
  assert.equal(sums(false), ["add_rms_norm", "gelu"]);
  assert.equal(sums(true), ["add", "gelu", "rms_norm"]);
});

test("an input that is overwritten before the last step stays where it is read", () => {
  const names = build((g) => {
    const x = g.gelu({ x: input(g) });
    const sum = g.add({ a: x, b: input(g, "z") });
    const rows = g.input("rows", [g.symbol("f")], "i32");
    const y = g.scatter_rows({ x, values: g.input("values", [g.symbol("f"), 4], "f32"), rows });
    return g.finish({ y, norm: g.rms_norm({ x: sum, w: weight(g, "w") }, { eps: 1e-5 }) });
  });
  assert.equal(names, ["gelu", "add", "scatter_rows", "rms_norm"]);
});

test("attributes that must be one are one", () => {
  const norms = (inner: number) =>
    build((g) => {
      const normed = g.rms_norm({ x: input(g), w: weight(g, "a") }, { eps: inner });
      const sum = g.add({ a: input(g, "z"), b: normed });
      return g.finish({ y: g.rms_norm({ x: sum, w: weight(g, "b") }, { eps: 1e-5 }) });
    });
  assert.equal(norms(1e-5), ["rms_norm_add_rms_norm"]);
  assert.equal(norms(1e-6), ["rms_norm", "add_rms_norm"]);
});

test.run();
