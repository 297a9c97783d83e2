/** Drops nodes whose results nobody reads; those without results are there for what they do. */
import type { Graph, Node, ValueId } from "../../graph/graph.ts";
import type { OpDefinition } from "../../graph/op-definition.ts";
import { OPS } from "../../graph/ops.ts";
import type { Pass } from "./pass.ts";

export const removeDead: Pass = {
  name: "remove-dead",
  ofWhole: true,
  run(graph) {
    const needed = new Set<ValueId>(Object.values(graph.outputs));
    // Readers stand behind what they read.
    const kept = graph.nodes.toReversed().filter((node) => {
      const outputs = Object.values(node.outputs);
      const isLive = outputs.length === 0 || writesState(graph, node) || outputs.some((id) => needed.has(id));
      if (isLive) for (const id of Object.values(node.inputs)) needed.add(id);
      return isLive;
    });
    return kept.length === graph.nodes.length ? graph : { ...graph, nodes: kept.reverse() };
  },
};

function writesState(graph: Graph, node: Node): boolean {
  const { alias }: OpDefinition = OPS[node.op];
  return Object.values(alias ?? {}).some((input) => {
    const id = node.inputs[input];
    return id !== undefined && graph.values[id]?.origin.kind === "state";
  });
}
