/** Drops nodes whose results nobody reads. */
import { consumers } from "../../graph/graph.ts";
import { isDead } from "../verify.ts";
import type { Pass } from "./pass.ts";

export const removeDead: Pass = {
  name: "remove-dead",
  run(graph) {
    let current = graph;
    for (;;) {
      const readers = consumers(current);
      const nodes = current.nodes.filter((node) => !isDead(current, node, readers));
      if (nodes.length === current.nodes.length) return current;
      current = { ...current, nodes };
    }
  },
};
