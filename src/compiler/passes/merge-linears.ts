/**
 * Linears that read the same rows become one with stacked weights (q, k, v; gate and up): one pass over x,
 * one longer stream of weights. Consumers read column slices. An adapter's weights are stacked among themselves, so
 * that a model's own stacks are the same with and without adapters.
 */

import { consumers, type Graph, type Node, type Value, type ValueId } from "../../graph/graph.ts";
import type { WeightSpec } from "../../graph/weight-spec.ts";
import { GraphRewriter, type Pass } from "./pass.ts";

export const mergeLinears: Pass = {
  name: "merge-linears",
  run(graph) {
    const groups = linearGroups(graph);
    if (groups.size === 0) return graph;
    const merged = new Set([...groups.values()].flat());
    const rewriter = new GraphRewriter(graph);
    for (const node of graph.nodes) {
      const group = groups.get(node);
      if (group) mergeGroup(rewriter, group);
      else if (!merged.has(node)) rewriter.nodes.push(node);
    }
    return rewriter.finish();
  },
};

/** First linear of a group -> the group, in node order. */
function linearGroups(graph: Graph): Map<Node, Node[]> {
  const readers = consumers(graph);
  const byInput = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    if (node.op !== "linear" && node.op !== "linear_bias") continue;
    const weights = [node.inputs.w, node.inputs.bias].filter((id) => id !== undefined);
    // A weight that is used elsewhere too (tied embeddings) must keep a storage of its own.
    if (weights.some((id) => weightSpec(graph.values, id) === null || readers.get(id)?.length !== 1))
      continue;
    const weight = weightSpec(graph.values, node.inputs.w as ValueId);
    const key = `${node.op} ${node.inputs.x} ${weight?.dtype} ${weight?.origin ?? ""}`;
    byInput.set(key, [...(byInput.get(key) ?? []), node]);
  }
  const groups = [...byInput.values()].filter((group) => group.length > 1);
  return new Map(groups.map((group) => [group[0] as Node, group]));
}

function mergeGroup(rewriter: GraphRewriter, group: readonly Node[]): void {
  const first = group[0] as Node;
  const stacked = (input: "w" | "bias") =>
    stackWeights(
      rewriter,
      group.map((node) => node.inputs[input] as ValueId),
    );
  const inputs: Record<string, ValueId> = { x: first.inputs.x as ValueId, w: stacked("w") };
  if (first.op === "linear_bias") inputs.bias = stacked("bias");
  const { y } = rewriter.addNode(first.op, inputs, {}, first.scope);
  let start = 0;
  for (const node of group) {
    const output = node.outputs.y as ValueId;
    const length = rewriter.values[output]?.shape[1] as number;
    rewriter.addNode("slice", { x: y as ValueId }, { start, length }, node.scope, { y: output });
    start += length;
  }
}

function stackWeights(rewriter: GraphRewriter, ids: readonly ValueId[]): ValueId {
  const specs = ids.map((id) => weightSpec(rewriter.values, id) as WeightSpec);
  const { origin, rank } = specs[0] as WeightSpec;
  const rows = specs.reduce((sum, spec) => sum + (spec.shape[0] as number), 0);
  const spec: WeightSpec = {
    name: specs.map((part) => part.name).join(" + "),
    shape: [rows, ...(specs[0] as WeightSpec).shape.slice(1)],
    dtype: (specs[0] as WeightSpec).dtype,
    sources: specs.flatMap((part) => part.sources),
    ...(origin === undefined ? {} : { origin }),
    ...(rank === undefined ? {} : { rank }),
  };
  return rewriter.addValue({
    name: spec.name,
    shape: spec.shape,
    dtype: spec.dtype,
    origin: { kind: "weight", spec },
  }).id;
}

function weightSpec(values: readonly Value[], id: ValueId): WeightSpec | null {
  const origin = values[id]?.origin;
  return origin?.kind === "weight" ? origin.spec : null;
}
