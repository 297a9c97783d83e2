/** Gathers move up through whatever computes each row by itself, and stop where something needs the other rows. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createReferenceBackend } from "../../src/backends/reference/backend.ts";
import { compileGraph, DEFAULT_PASSES, optimizeGraph } from "../../src/compiler/compile.ts";
import { applyAdapters } from "../../src/compiler/passes/apply-adapters.ts";
import { narrowRows } from "../../src/compiler/passes/narrow-rows.ts";
import type { Pass } from "../../src/compiler/passes/pass.ts";
import type { ModelConfig } from "../../src/config/types.ts";
import { MODEL_CONFIGS } from "../../src/conformance/model-configs.ts";
import { openSeededStages } from "../../src/conformance/seeded-stages.ts";
import { createGraphBuilder, type GraphBuilder } from "../../src/graph/builder.ts";
import type { Graph, Value } from "../../src/graph/graph.ts";
import { buildDecoder } from "../../src/models/decoder.ts";
import { textPositions } from "../../src/mrope/positions.ts";
import { answerOf } from "../../src/runtime/decoder.ts";
import { Sequence } from "../../src/runtime/kv-pool.ts";
import { formatShape } from "../../src/tensor/dims.ts";
import { fullAdapter } from "./full-adapter.ts";

/** The ops of a graph after the pass, each with the rows that it gives: "gelu m". */
function narrowed(
  body: (g: GraphBuilder) => Record<string, Value>,
  passes: readonly Pass[] = [narrowRows],
): string[] {
  const g = createGraphBuilder({ name: "test", activationDType: "f32", weightDType: () => "f32" });
  return listed(optimizeGraph(g.finish(body(g)), { passes }));
}

function listed({ nodes, values }: Graph): string[] {
  return nodes.map(({ op, outputs }) => {
    const [rows] = values[Object.values(outputs)[0] as number]?.shape ?? [];
    return `${op} ${formatShape([rows ?? 0]).slice(1, -1)}`;
  });
}

const input = (g: GraphBuilder, name = "x", columns = 4) => g.input(name, [g.symbol("m"), columns], "f32");
const rows = (g: GraphBuilder, name = "rows", symbol = "r") => g.input(name, [g.symbol(symbol)], "i32");
const square = (g: GraphBuilder, x: Value, name = "w") => g.linear({ x, w: g.weight(name, [4, 4]) });

test("a gather moves up to where values come in, each gathered once", () => {
  const ops = narrowed((g) => {
    const [x, z] = [input(g), input(g, "z")];
    const sum = g.add({ a: square(g, x), b: z });
    const more = g.add({ a: sum, b: z });
    return {
      y: g.gather_rows({ x: g.rms_norm({ x: more, w: g.weight("n", [4]) }, { eps: 1e-5 }), rows: rows(g) }),
    };
  });
  assert.equal(ops, ["gather_rows r", "linear r", "gather_rows r", "add r", "add r", "rms_norm r"]);
});

test("a value that is read outside, or is a result, keeps its rows", () => {
  const read = narrowed((g) => {
    const x = g.gelu({ x: input(g) });
    return { y: g.gather_rows({ x: g.gelu({ x }), rows: rows(g) }), z: square(g, x) };
  });
  assert.equal(read, ["gelu m", "gather_rows r", "gelu r", "linear m"]);
  const result = narrowed((g) => {
    const x = g.gelu({ x: input(g) });
    return { x, y: g.gather_rows({ x, rows: rows(g) }) };
  });
  assert.equal(result, ["gelu m", "gather_rows r"]);
});

test("each of two gathers moves by itself, and neither past what both read", () => {
  const ops = narrowed((g) => {
    const shared = g.gelu({ x: input(g) });
    return {
      one: g.gather_rows({ x: square(g, shared, "one"), rows: rows(g, "first", "r") }),
      two: g.gather_rows({ x: square(g, shared, "two"), rows: rows(g, "second", "s") }),
    };
  });
  assert.equal(ops, ["gelu m", "gather_rows r", "linear r", "gather_rows s", "linear s"]);
});

test("a gather behind a gather stops at it", () => {
  const ops = narrowed((g) => {
    const first = g.gather_rows({ x: g.gelu({ x: input(g) }), rows: rows(g, "first", "r") });
    return { y: g.gather_rows({ x: square(g, first), rows: rows(g, "second", "s") }) };
  });
  assert.equal(ops, ["gather_rows r", "gather_rows s", "gelu s", "linear s"]);
});

test("ops that need other rows, or a table beside their own, stay above the gather", () => {
  const merged = narrowed((g) => {
    const x = g.merge_rows({ x: g.gelu({ x: g.input("x", [6, 4], "f32") }) }, { factor: 2 });
    return { y: g.gather_rows({ x: g.gelu({ x }), rows: rows(g) }) };
  });
  assert.equal(merged, ["gelu 6", "merge_rows 3", "gather_rows r", "gelu r"]);

  const rotated = narrowed((g) => {
    const [cos, sin] = [input(g, "cos", 1), input(g, "sin", 1)];
    const attrs = { numHeads: 1, headDim: 4, rotaryDim: 2, pairs: "half" } as const;
    return { y: g.gather_rows({ x: g.rope({ x: square(g, input(g)), cos, sin }, attrs), rows: rows(g) }) };
  });
  assert.equal(rotated, ["linear m", "rope m", "gather_rows r"]);

  const attended = narrowed((g) => {
    const q = square(g, input(g));
    const cuSeqlens = g.input("cu", [3], "i32");
    const y = g.attention_varlen({ q, k: q, v: q, cuSeqlens }, { numHeads: 1, headDim: 4, scale: 1 });
    return { y: g.gather_rows({ x: square(g, y, "o"), rows: rows(g) }) };
  });
  assert.equal(attended, ["linear m", "attention_varlen m", "gather_rows r", "linear r"]);

  const embedded = narrowed((g) => {
    const ids = g.input("ids", [g.symbol("m")], "i32");
    return {
      y: g.gather_rows({
        x: g.embed({ ids, table: g.weight("t", [9, 4]) }, { first: 0, total: 9 }),
        rows: rows(g),
      }),
    };
  });
  assert.equal(embedded, ["embed m", "gather_rows r"]);
});

test("a gather does not go past what chooses its rows", () => {
  const ops = narrowed((g) => {
    const x = g.gelu({ x: input(g) });
    const [settings, choices] = [input(g, "settings", 3), g.input("choices", [g.symbol("m"), 2], "i32")];
    const logits = input(g, "logits");
    const [adjusted, adjustedAs] = [logits, rows(g, "none", "m")];
    const chosen = g.sample({ logits, adjusted, adjustedAs, settings, choices });
    return { y: g.gather_rows({ x: square(g, x), rows: chosen }) };
  });
  assert.equal(ops, ["gelu m", "sample m", "gather_rows m", "linear m"]);
});

test("a view goes up with the ops below it, but not alone", () => {
  const inside = narrowed((g) => {
    const half = g.slice({ x: square(g, input(g)) }, { start: 2, length: 2 });
    return { y: g.gather_rows({ x: g.gelu({ x: half }), rows: rows(g) }) };
  });
  assert.equal(inside, ["gather_rows r", "linear r", "slice r", "gelu r"]);
  const alone = narrowed((g) => {
    const half = g.slice({ x: square(g, input(g)) }, { start: 2, length: 2 });
    return { y: g.gather_rows({ x: half, rows: rows(g) }) };
  });
  assert.equal(alone, ["linear m", "slice m", "gather_rows r"]);
});

test("routed experts go along with their router", () => {
  const ops = narrowed((g) => {
    const x = square(g, input(g));
    const { experts, weights } = g.route_experts(
      { logits: square(g, x, "router"), correction: g.weight("c", [4]) },
      { topK: 2, numGroups: 1, topkGroups: 1, normalise: "no", scale: 1 },
    );
    const stacks = { gateUp: g.weight("g", [24, 4]), down: g.weight("d", [16, 3]) };
    const y = g.experts(
      { x, experts, weights, ...stacks },
      { numExperts: 4, topK: 2, width: 3, firstExpert: 0, totalExperts: 4 },
    );
    return { y: g.gather_rows({ x: y, rows: rows(g) }) };
  });
  assert.equal(ops, ["gather_rows r", "linear r", "linear r", "route_experts r", "experts r"]);
});

test("experts stay where somebody else reads the router's choice", () => {
  const ops = narrowed((g) => {
    const x = square(g, input(g));
    const { experts, weights } = g.route_experts(
      { logits: x, correction: g.weight("c", [4]) },
      { topK: 2, numGroups: 1, topkGroups: 1, normalise: "no", scale: 1 },
    );
    const stacks = { gateUp: g.weight("g", [24, 4]), down: g.weight("d", [16, 3]) };
    const y = g.experts(
      { x, experts, weights, ...stacks },
      { numExperts: 4, topK: 2, width: 3, firstExpert: 0, totalExperts: 4 },
    );
    return { experts, y: g.gather_rows({ x: g.gelu({ x: y }), rows: rows(g) }) };
  });
  assert.equal(ops, ["linear m", "route_experts m", "experts m", "gather_rows r", "gelu r"]);
});

test("behind the last attention of a decoder every op works on the chosen rows", () => {
  const options = { activationDType: "f32", weightDType: (): "bf16" => "bf16", pageSize: 16 } as const;
  for (const [name, config] of Object.entries(MODEL_CONFIGS)) {
    const graph = buildDecoder(config, options);
    const adapter = applyAdapters([fullAdapter(graph, "one", 2)]);
    for (const passes of [DEFAULT_PASSES, [adapter, ...DEFAULT_PASSES]]) {
      const ops = compileGraph(graph, { passes }).instructions.map(({ op }) => op);
      const behind = ops.slice(ops.lastIndexOf("rope_attention_paged") + 1);
      assert.equal(behind.slice(0, 2), ["gather_rows", "linear"], `${name}: before o_proj`);
      // The heads, and what is added to them.
      assert.is(behind.filter((op) => op === "gather_rows").length, 2, name);
      const narrow = listed(optimizeGraph(graph, { passes })).map((op) => op.split(" ")[1]);
      const first = narrow.indexOf("logits");
      assert.ok(narrow.slice(0, first).every((rows) => rows !== "logits"));
      // Of the chosen rows some are adjusted.
      const right = ["logits", "adjusted"];
      assert.ok(
        narrow.slice(first).every((rows) => right.includes(rows as string)),
        name,
      );
    }
  }
});

test("logits are the same to the bit with and without it", async () => {
  const prefill = async (config: ModelConfig, passes: readonly Pass[]) => {
    const { engine, decoder, pool } = await openSeededStages(createReferenceBackend("f32"), config, "f32", {
      compile: { passes },
    });
    const slice = (inputIds: number[]) => ({
      sequence: new Sequence(pool),
      inputIds,
      positionIds: textPositions(0, inputIds.length, 0),
      wantsLogits: true,
    });
    const results = await decoder.forward([slice([3, 1, 4, 1, 5]), slice([9, 2])]);
    engine.dispose();
    return results.map((result) => answerOf(result).logits[0]);
  };
  for (const config of Object.values(MODEL_CONFIGS)) {
    const without = DEFAULT_PASSES.filter((pass) => pass !== narrowRows);
    assert.equal(await prefill(config, DEFAULT_PASSES), await prefill(config, without));
  }
});

test.run();
