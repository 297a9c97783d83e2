/** Adapters in a graph: where they are added, and what stays as it was. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compileGraph, DEFAULT_PASSES } from "../../src/compiler/compile.ts";
import {
  type ActiveAdapter,
  applyAdapters,
  linearModules,
} from "../../src/compiler/passes/apply-adapters.ts";
import { denseConfig, moeConfig, ocrConfig } from "../../src/conformance/model-configs.ts";
import type { Graph } from "../../src/graph/graph.ts";
import { buildDecoder } from "../../src/models/decoder.ts";
import { buildVisionTower } from "../../src/models/vision-tower.ts";
import { fullAdapter as adapter } from "./full-adapter.ts";

const options = { activationDType: "f32", weightDType: (): "bf16" => "bf16", pageSize: 16 } as const;
const graphs: readonly Graph[] = [denseConfig, ocrConfig, moeConfig].flatMap((config) => [
  buildVisionTower(config.vision, options),
  buildDecoder(config, options),
]);

function compile(graph: Graph, adapters: readonly ActiveAdapter[]) {
  return compileGraph(graph, { passes: [applyAdapters(adapters), ...DEFAULT_PASSES] });
}

test("the model's own weights keep their names and stacks", () => {
  for (const graph of graphs) {
    const plain = compileGraph(graph).weights;
    const both = compile(graph, [adapter(graph, "one", 2), adapter(graph, "two", 3)]);
    assert.equal(
      both.weights.filter(({ origin }) => origin === undefined),
      plain,
      graph.name,
    );
  }
});

test("an adapter's weights are the same whatever other adapters there are, and stacked by themselves", () => {
  for (const graph of graphs) {
    const [one, two] = [adapter(graph, "one", 2), adapter(graph, "two", 3)];
    const of = (id: string, adapters: readonly ActiveAdapter[]) =>
      compile(graph, adapters).weights.filter(({ origin }) => origin === id);
    assert.equal(of("one", [one, two]), of("one", [one]));
    assert.equal(of("two", [one, two]), of("two", [two]));
    assert.ok(of("one", [one]).every(({ name }) => !name.includes("two")));
  }
  const decoder = graphs[1]!;
  const { weights } = compile(decoder, [adapter(decoder, "one", 2)]);
  const stacked = weights.find(({ name }) =>
    /q_proj.lora_A \+ .*k_proj.lora_A \+ .*v_proj.lora_A$/.test(name),
  );
  assert.is(stacked?.shape[0], 6);
});

test("the scale is in B alone", () => {
  const graph = graphs[1]!;
  const at = (scale: number) => compile(graph, [{ ...adapter(graph, "one", 2), scale }]).weights;
  const changed = at(1).filter(({ name }) => !at(0.5).some((other) => other.name === name));
  assert.ok(changed.length > 0 && changed.every(({ name }) => name.includes("lora_B")));
  const b = at(0.5).find(({ name }) => name.includes("lora_B"))!;
  // Scaling 2 of the adapter x 0.5 of the request: nothing to multiply.
  assert.is(b.sources[0]?.scale, undefined);
  assert.is(at(3).find(({ name }) => name.includes("lora_B"))!.sources[0]?.scale, 6);
});

test("a graph that no adapter changes is left alone", () => {
  for (const graph of graphs) {
    const pass = applyAdapters([adapter(graph, "none", 2, () => false)]);
    assert.is(pass.run(graph), graph);
    assert.is(applyAdapters([]).run(graph), graph);
  }
});

test("every linear can be adapted: the head, tied or not, the convolutions, the router, the shared experts", () => {
  const tied = buildDecoder({ ...denseConfig, tieWordEmbeddings: true }, options);
  assert.ok(linearModules(tied).has("lm_head"));
  const tower = linearModules(graphs[0]!);
  for (const path of [
    "model.visual.patch_embed.proj",
    "model.visual.downsample",
    "model.visual.merger.proj",
  ]) {
    assert.ok(tower.has(path), path);
  }
  const moe = [...linearModules(graphs[5]!).keys()];
  assert.ok(moe.some((path) => path.endsWith("mlp.shared_experts.down_proj")));
  assert.not.ok(moe.some((path) => path.includes("mlp.experts")));
});

test("a bias stays fused with its linear", () => {
  const [tower] = graphs;
  const program = compile(tower!, [adapter(tower!, "one", 2)]);
  assert.not.ok(program.instructions.some(({ op }) => op === "add_bias"));
});

test.run();
