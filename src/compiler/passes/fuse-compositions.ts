/**
 * Replaces a chain of two ops by the fused op whose composition it is. Read from the op table, so a new fused op
 * needs no new pass. `expandCompositions` is the way back, for backends that lack the fused op.
 */
import { consumers, type Graph, type Node, type ValueId } from "../../graph/graph.ts";
import type { OpDefinition } from "../../graph/op-definition.ts";
import { OP_NAMES, OPS, type OpName } from "../../graph/ops.ts";
import { GraphRewriter, type Pass } from "./pass.ts";

interface Composition {
  readonly fused: OpName;
  readonly first: OpName;
  readonly second: OpName;
}

const COMPOSITIONS: readonly Composition[] = OP_NAMES.flatMap((fused) => {
  const { composition } = OPS[fused] as OpDefinition;
  return composition ? [{ fused, first: composition[0] as OpName, second: composition[1] as OpName }] : [];
});

/** The input of `second` that takes what `first` computes: its first. */
function chainInput(second: OpName): string {
  return Object.keys(OPS[second].inputs)[0] as string;
}

function onlyOutput(node: Node): ValueId {
  return Object.values(node.outputs)[0] as ValueId;
}

export const fuseCompositions: Pass = {
  name: "fuse-compositions",
  run(graph) {
    const readers = consumers(graph);
    const replaced = new Set<Node>();
    const fusedAt = new Map<Node, { composition: Composition; first: Node }>();
    const producers = new Map(
      graph.nodes.flatMap((node) => Object.values(node.outputs).map((id) => [id, node] as const)),
    );

    for (const second of graph.nodes) {
      const composition = COMPOSITIONS.find((candidate) => {
        if (candidate.second !== second.op) return false;
        const first = producers.get(second.inputs[chainInput(second.op)] as ValueId);
        return (
          first?.op === candidate.first &&
          !replaced.has(first) &&
          canMerge(graph, candidate, first, second, readers)
        );
      });
      const first = producers.get(second.inputs[chainInput(second.op)] as ValueId);
      if (!composition || !first) continue;
      replaced.add(first);
      fusedAt.set(second, { composition, first });
    }

    // The pair runs where its first op stood, so that other readers of a kept middle value still find it.
    const secondOf = new Map([...fusedAt].map(([second, { first }]) => [first, second]));
    const rewriter = new GraphRewriter(graph);
    for (const node of graph.nodes) {
      if (fusedAt.has(node)) continue;
      const second = secondOf.get(node);
      if (!second) {
        rewriter.nodes.push(node);
        continue;
      }
      const { composition } = fusedAt.get(second) as { composition: Composition };
      const inputs = { ...node.inputs, ...omit(second.inputs, chainInput(second.op)) };
      rewriter.addNode(
        composition.fused,
        inputs,
        { ...node.attrs, ...second.attrs },
        node.scope,
        outputsOf(composition.fused, node, second),
      );
    }
    return rewriter.finish();
  },
};

/** A fused op with two outputs keeps the middle value, one with a single output hides it. */
function canMerge(
  graph: Graph,
  { fused }: Composition,
  first: Node,
  second: Node,
  readers: Map<ValueId, Node[]>,
): boolean {
  const middle = onlyOutput(first);
  const keepsMiddle = Object.keys(OPS[fused].outputs).length === 2;
  const hidden = readers.get(middle)?.length === 1 && !Object.values(graph.outputs).includes(middle);
  if (!keepsMiddle && !hidden) return false;
  // Everything else `second` reads must exist where `first` stands: parameters do.
  return Object.entries(omit(second.inputs, chainInput(second.op))).every(
    ([, id]) => graph.values[id]?.origin.kind !== "computed",
  );
}

function outputsOf(fused: OpName, first: Node, second: Node): Record<string, ValueId> {
  const names = Object.keys(OPS[fused].outputs);
  const ids = names.length === 2 ? [onlyOutput(first), onlyOutput(second)] : [onlyOutput(second)];
  return Object.fromEntries(names.map((name, index) => [name, ids[index] as ValueId]));
}

/** Expands the fused ops for which `has` answers false into their compositions. */
export function expandCompositions(has: (op: OpName) => boolean): Pass {
  return {
    name: "expand-compositions",
    run(graph) {
      const rewriter = new GraphRewriter(graph);
      for (const node of graph.nodes) {
        const composition = COMPOSITIONS.find(({ fused }) => fused === node.op && !has(fused));
        if (composition) expand(rewriter, node, composition);
        else rewriter.nodes.push(node);
      }
      return rewriter.finish();
    },
  };
}

function expand(rewriter: GraphRewriter, node: Node, { first, second }: Composition): void {
  const outputs = Object.values(node.outputs);
  const middleName = Object.keys(OPS[first].outputs)[0] as string;
  const kept = outputs.length === 2 ? { [middleName]: outputs[0] as ValueId } : {};
  const middle = rewriter.addNode(
    first,
    take(node.inputs, OPS[first].inputs),
    take(node.attrs, OPS[first].attrs),
    node.scope,
    kept,
  );
  const chained = chainInput(second);
  const rest = take(node.inputs, omit(OPS[second].inputs as Record<string, unknown>, chained));
  const lastName = Object.keys(OPS[second].outputs)[0] as string;
  rewriter.addNode(
    second,
    { [chained]: middle[middleName] as ValueId, ...rest },
    take(node.attrs, OPS[second].attrs),
    node.scope,
    { [lastName]: outputs.at(-1) as ValueId },
  );
}

function take<T>(
  from: Readonly<Record<string, T>>,
  names: Readonly<Record<string, unknown>>,
): Record<string, T> {
  return Object.fromEntries(Object.keys(names).map((name) => [name, from[name] as T]));
}

function omit<T>(from: Readonly<Record<string, T>>, name: string): Record<string, T> {
  return Object.fromEntries(Object.entries(from).filter(([key]) => key !== name));
}
