/**
 * Moves a gather of rows up through everything that computes each row by itself, so that nobody computes rows that the
 * gather leaves out: behind the last attention of a prefill a decoder works on one row, not on all of them.
 *
 * The region grows from the gather backwards. A node joins when it is row-wise (a fact of the op table) and only nodes
 * of the region read its results, row by row. Values that come in from outside are gathered instead, each once, before
 * the first node that reads it. A gather is taken to choose few rows of many.
 */
import { consumers, type Graph, type Node, type ValueId } from "../../graph/graph.ts";
import type { OpDefinition } from "../../graph/op-definition.ts";
import { OPS } from "../../graph/ops.ts";
import { GraphRewriter, type Pass } from "./pass.ts";

export const narrowRows: Pass = {
  name: "narrow-rows",
  ofWhole: true,
  run: (graph) => graph.nodes.filter(({ op }) => op === "gather_rows").reduce(moveUp, graph),
};

function moveUp(graph: Graph, gather: Node): Graph {
  const region = rowwiseRegion(graph, gather);
  if (region.size === 0) return graph;
  const rewriter = new GraphRewriter(graph);
  const wide = gather.inputs.x as ValueId;
  const rows = gather.inputs.rows as ValueId;
  /** Value -> its chosen rows. */
  const narrowed = new Map<ValueId, ValueId>([[wide, gather.outputs.y as ValueId]]);
  const narrow = (x: ValueId, scope: string): ValueId => {
    const known = narrowed.get(x) ?? (rewriter.addNode("gather_rows", { x, rows }, {}, scope).y as ValueId);
    narrowed.set(x, known);
    return known;
  };
  for (const node of graph.nodes) {
    if (node === gather) continue;
    if (!region.has(node)) {
      rewriter.nodes.push(node);
      continue;
    }
    const { op, attrs, scope } = node;
    const byRow = rowOperands(node);
    const inputs = Object.entries(node.inputs).map(
      ([name, id]) => [name, byRow.includes(name) ? narrow(id, scope) : id] as const,
    );
    // What the gather gave is given by the node whose rows it chose.
    const given = Object.entries(node.outputs)
      .filter(([, id]) => id === wide)
      .map(([name]) => [name, narrow(wide, scope)] as const);
    const outputs = rewriter.addNode(op, Object.fromEntries(inputs), attrs, scope, Object.fromEntries(given));
    for (const [name, id] of Object.entries(node.outputs)) narrowed.set(id, outputs[name] as ValueId);
  }
  return rewriter.finish();
}

/** The nodes that can work on the gathered rows alone; empty when the gather stands as high as it can. */
function rowwiseRegion(graph: Graph, gather: Node): ReadonlySet<Node> {
  const readers = consumers(graph);
  const results = new Set(Object.values(graph.outputs));
  const gives = ({ outputs }: Node, input: string) =>
    Object.values(outputs).includes(gather.inputs[input] as ValueId);
  // Which rows are chosen is not known before; inputs of the graph always are.
  const chosenAt = graph.nodes.findIndex((node) => gives(node, "rows"));
  // Its result may be a result of the graph or need rows without gaps, and a view is neither.
  const refused = new Set(
    graph.nodes.filter((node, index) => index <= chosenAt || (isView(node) && gives(node, "x"))),
  );
  for (;;) {
    const region = new Set<Node>();
    const isNarrow = (reader: Node, id: ValueId) =>
      (reader === gather || region.has(reader)) && readsByRow(reader, id, reader === gather);
    for (const node of graph.nodes.toReversed()) {
      const outputs = Object.values(node.outputs);
      const joins =
        !refused.has(node) &&
        definitionOf(node).rowwise !== undefined &&
        outputs.some((id) => readers.has(id)) &&
        outputs.every(
          (id) => !results.has(id) && (readers.get(id) ?? []).every((reader) => isNarrow(reader, id)),
        );
      if (joins) region.add(node);
    }
    const inside = new Set([...region].flatMap(({ outputs }) => Object.values(outputs)));
    const stuck = [...region].filter((node) => needsOtherRows(node, inside));
    if (stuck.length === 0) return region;
    for (const node of stuck) refused.add(node);
  }
}

/** Whether it reads rows from outside that are no activations, and so can not be gathered. */
function needsOtherRows(node: Node, inside: ReadonlySet<ValueId>): boolean {
  const { inputs } = definitionOf(node);
  return rowOperands(node).some(
    (name) => !inside.has(node.inputs[name] as ValueId) && inputs[name]?.kind !== "activation",
  );
}

function readsByRow(reader: Node, id: ValueId, isGather: boolean): boolean {
  const byRow = isGather ? ["x"] : rowOperands(reader);
  return Object.entries(reader.inputs).every(([name, read]) => read !== id || byRow.includes(name));
}

function rowOperands(node: Node): readonly string[] {
  return definitionOf(node).rowwise ?? [];
}

function isView(node: Node): boolean {
  return definitionOf(node).view === true;
}

function definitionOf({ op }: Node): OpDefinition {
  return OPS[op];
}
