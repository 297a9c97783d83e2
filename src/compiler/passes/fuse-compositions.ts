/**
 * Replaces ops by the fused op whose composition they are. Read from the op table, so a new fused op needs no new
 * pass. `expandCompositions` is the way back, for graphs that hold a fused op which the backend lacks.
 */
import { consumers, type Graph, type Node, type ValueId } from "../../graph/graph.ts";
import { nodeQuery, type Supports } from "../../graph/node-query.ts";
import type { CompositionStep, OpDefinition } from "../../graph/op-definition.ts";
import { OP_NAMES, OPS, type OpName } from "../../graph/ops.ts";
import { GraphRewriter, type Pass } from "./pass.ts";

interface Composition {
  readonly fused: OpName;
  readonly steps: readonly CompositionStep[];
}

const COMPOSITIONS: ReadonlyMap<OpName, Composition> = new Map(
  OP_NAMES.flatMap((fused) => {
    const { composition } = OPS[fused] as OpDefinition;
    return composition ? [[fused, { fused, steps: composition }] as const] : [];
  }),
);

/** By the op of their last step, in the table's order. */
const COMPOSITIONS_ENDING_IN: ReadonlyMap<string, readonly Composition[]> = new Map(
  OP_NAMES.map((op) => [op, [...COMPOSITIONS.values()].filter(({ steps }) => steps.at(-1)?.op === op)]),
);

/** A place in a graph where a composition stands. */
interface Match {
  readonly fused: OpName;
  readonly nodes: ReadonlySet<Node>;
  /** The first step's. */
  readonly first: Node;
  /** What the composition's names are here. */
  readonly values: ReadonlyMap<string, ValueId>;
  readonly attrs: ReadonlyMap<string, number>;
}

export const fuseCompositions: Pass = {
  name: "fuse-compositions",
  run(graph, supports = () => true) {
    // A fused op may be a step of another composition.
    for (let current = graph; ; ) {
      const next = fuseOnce(current, supports);
      if (next === current) return current;
      current = next;
    }
  },
};

function fuseOnce(graph: Graph, supports: Supports): Graph {
  const facts = new Facts(graph);
  const used = new Set<Node>();
  const matches = new Map<Node, Match>();
  for (const node of graph.nodes) {
    for (const composition of COMPOSITIONS_ENDING_IN.get(node.op) ?? []) {
      const match = findMatch(facts, composition, node);
      if (!match || [...match.nodes].some((other) => used.has(other))) continue;
      if (!supports(nodeQuery(graph, fusedNode(match)))) continue;
      for (const other of match.nodes) used.add(other);
      matches.set(node, match);
      break;
    }
  }
  if (matches.size === 0) return graph;

  const rewriter = new GraphRewriter(graph);
  for (const node of graph.nodes) {
    const match = matches.get(node);
    if (match) addFused(rewriter, match);
    else if (!used.has(node)) rewriter.nodes.push(node);
  }
  return rewriter.finish();
}

/** What is asked of a graph where steps were found: most rounds only look for producers. */
class Facts {
  readonly results: ReadonlySet<ValueId>;
  readonly #graph: Graph;
  readonly #producers: Node[] = [];
  #surroundings: Surroundings | undefined;

  constructor(graph: Graph) {
    this.#graph = graph;
    this.results = new Set(Object.values(graph.outputs));
    for (const node of graph.nodes) {
      for (const id of Object.values(node.outputs)) this.#producers[id] = node;
    }
  }

  producer(id: ValueId): Node | undefined {
    return this.#producers[id];
  }

  get surroundings(): Surroundings {
    this.#surroundings ??= surroundingsOf(this.#graph);
    return this.#surroundings;
  }
}

interface Surroundings {
  readonly readers: ReadonlyMap<ValueId, readonly Node[]>;
  /** By the value whose memory a node takes over. */
  readonly overwriters: ReadonlyMap<ValueId, Node>;
  readonly positions: ReadonlyMap<Node, number>;
}

function surroundingsOf(graph: Graph): Surroundings {
  const overwriters = new Map<ValueId, Node>();
  const positions = new Map<Node, number>();
  for (const [index, node] of graph.nodes.entries()) {
    positions.set(node, index);
    const { alias }: OpDefinition = OPS[node.op];
    for (const input of Object.values(alias ?? {})) overwriters.set(node.inputs[input] as ValueId, node);
  }
  return { readers: consumers(graph), overwriters, positions };
}

/** The composition whose last step is `last`, if the others stand before it and nobody else needs what it hides. */
function findMatch(facts: Facts, { fused, steps }: Composition, last: Node): Match | null {
  // Most nodes do not read what the step before would give: then nothing is bound for nothing.
  const before = steps.at(-2);
  const follows = ({ op }: CompositionStep) =>
    Object.values(last.inputs).some((id) => facts.producer(id)?.op === op);
  if (before && !follows(before)) return null;
  const values = new Map<string, ValueId>();
  const attrs = new Map<string, number>();
  const nodes = new Set<Node>();
  let first = last;
  for (const step of steps.toReversed()) {
    const node = nodes.size === 0 ? last : producerOf(facts, step, values);
    if (node?.op !== step.op || nodes.has(node) || !bindStep(step, node, values, attrs)) return null;
    nodes.add(node);
    first = node;
  }
  const { readers, overwriters, positions } = facts.surroundings;
  // The fused op stands where its last step stood.
  const place = positions.get(last) as number;
  const isEarlier = (other: Node | undefined) =>
    other !== undefined && !nodes.has(other) && (positions.get(other) as number) < place;
  const kept = new Set(Object.keys(OPS[fused].outputs).map((name) => values.get(name)));
  const canMove = [...nodes].every(
    (node) =>
      !Object.values(node.inputs).some((id) => isEarlier(overwriters.get(id))) &&
      Object.values(node.outputs).every((id) => {
        const reading = readers.get(id) ?? [];
        if (kept.has(id)) return !reading.some(isEarlier);
        return reading.every((reader) => nodes.has(reader)) && !facts.results.has(id);
      }),
  );
  return canMove ? { fused, nodes, first, values, attrs } : null;
}

/** The node that computes what later steps read of this one. */
function producerOf(facts: Facts, step: CompositionStep, values: ReadonlyMap<string, ValueId>) {
  for (const output of Object.keys(OPS[step.op as OpName].outputs)) {
    const id = values.get(String(nameOf(step, output)));
    if (id !== undefined) return facts.producer(id);
  }
  return undefined;
}

/** Whether the node is the step, given what its names were found to be; adds what it tells. */
function bindStep(
  step: CompositionStep,
  node: Node,
  values: Map<string, ValueId>,
  attrs: Map<string, number>,
): boolean {
  const bind = <T>(known: Map<string, T>, name: string, found: T) => {
    const before = known.get(name);
    if (before === undefined) known.set(name, found);
    return before === undefined || before === found;
  };
  for (const operands of [node.inputs, node.outputs]) {
    for (const [name, id] of Object.entries(operands)) {
      if (!bind(values, String(nameOf(step, name)), id)) return false;
    }
  }
  return Object.entries(node.attrs).every(([name, value]) => {
    const called = nameOf(step, name);
    return typeof called === "number" ? called === value : bind(attrs, called, value);
  });
}

function nameOf({ names }: CompositionStep, name: string): string | number {
  return names?.[name] ?? name;
}

function addFused(rewriter: GraphRewriter, match: Match): void {
  const { op, inputs, attrs } = fusedNode(match);
  const outputs = mapNames(OPS[op].outputs, (name) => match.values.get(name) as ValueId);
  rewriter.addNode(op, inputs, attrs, match.first.scope, outputs);
}

function fusedNode({ fused, values, attrs }: Match): Pick<Node, "op" | "inputs" | "attrs"> {
  return {
    op: fused,
    inputs: mapNames(OPS[fused].inputs, (name) => values.get(name) as ValueId),
    attrs: mapNames(OPS[fused].attrs, (name) => attrs.get(name) as number),
  };
}

export const expandCompositions: Pass = {
  name: "expand-compositions",
  run(graph, supports = () => true) {
    const lacks = (node: Node, values: Graph["values"]) =>
      COMPOSITIONS.has(node.op) && !supports(nodeQuery({ ...graph, values }, node));
    if (!graph.nodes.some((node) => lacks(node, graph.values))) return graph;
    const rewriter = new GraphRewriter(graph);
    for (const node of graph.nodes) expand(rewriter, node, lacks);
    return rewriter.finish();
  },
};

function expand(
  rewriter: GraphRewriter,
  node: Node,
  lacks: (node: Node, values: Graph["values"]) => boolean,
): void {
  const composition = lacks(node, rewriter.values) ? COMPOSITIONS.get(node.op) : undefined;
  if (!composition) {
    rewriter.nodes.push(node);
    return;
  }
  const values: Record<string, ValueId> = { ...node.inputs };
  for (const step of composition.steps) {
    const op = step.op as OpName;
    const inputs = mapNames(OPS[op].inputs, (name) => values[nameOf(step, name)] as ValueId);
    const attrs = mapNames(OPS[op].attrs, (name) => {
      const called = nameOf(step, name);
      return typeof called === "number" ? called : (node.attrs[called] as number);
    });
    const kept = Object.keys(OPS[op].outputs).flatMap((name) => {
      const id = node.outputs[nameOf(step, name)];
      return id === undefined ? [] : [[name, id] as const];
    });
    const outputs = rewriter.addNode(op, inputs, attrs, node.scope, Object.fromEntries(kept));
    for (const [name, id] of Object.entries(outputs)) values[nameOf(step, name)] = id;
    // A step may be a fused op itself.
    expand(rewriter, rewriter.nodes.pop() as Node, lacks);
  }
}

function mapNames<T>(names: Readonly<Record<string, unknown>>, find: (name: string) => T): Record<string, T> {
  return Object.fromEntries(Object.keys(names).map((name) => [name, find(name)]));
}
