/**
 * Adds low-rank adapters to a model: y += B (A x) at every linear that one of them changes, scales folded into B.
 * The model's own linears stay as they are, and so do their stacks, so that programs with and without adapters share
 * the weights on a device.
 */
import { type Adapter, adapterSpecs } from "../../checkpoint/adapter.ts";
import { consumers, type Graph, type Node, type Value, type ValueId } from "../../graph/graph.ts";
import type { WeightSource, WeightSpec } from "../../graph/weight-spec.ts";
import type { WeightDType } from "../../tensor/dtype.ts";
import { GraphRewriter, type Pass } from "./pass.ts";

/** The path of a head that has no weight of its own. */
const TIED_HEAD = "lm_head";

export interface ActiveAdapter {
  /** Tells its weights from those of other adapters: the origin of their specs. */
  readonly id: string;
  readonly scale: number;
  readonly adapter: Pick<Adapter, "modules">;
  /** How its matrices are stored on the device. */
  readonly dtype: WeightDType;
}

/** The linears of a graph by module path, each with the tensor that is its weight. */
export function linearModules(graph: Graph): Map<string, WeightSource> {
  const modules = new Map<string, WeightSource>();
  for (const [node, path] of modulePaths(graph)) modules.set(path, weightOf(graph, node) as WeightSource);
  return modules;
}

export function applyAdapters(adapters: readonly ActiveAdapter[]): Pass {
  return {
    name: "apply-adapters",
    ofWhole: true,
    run(graph) {
      const changed = changedNodes(graph, adapters);
      if (changed.size === 0) return graph;
      const rewriter = new GraphRewriter(graph);
      for (const node of graph.nodes) {
        const change = changed.get(node);
        if (change) addChange(rewriter, node, change, adapters);
        else rewriter.nodes.push(node);
      }
      return rewriter.finish();
    },
  };
}

interface Change {
  readonly path: string;
  readonly linear: Node;
  readonly base: WeightSource;
}

/** The node after which a change is added: the linear, or the bias that belongs to it. */
function changedNodes(graph: Graph, adapters: readonly ActiveAdapter[]): Map<Node, Change> {
  const readers = consumers(graph);
  const outputs = Object.values(graph.outputs);
  const changed = new Map<Node, Change>();
  for (const [linear, path] of modulePaths(graph)) {
    if (!adapters.some(({ adapter }) => adapter.modules.has(path))) continue;
    const y = linear.outputs.y as ValueId;
    const [reader, ...others] = readers.get(y) ?? [];
    const biased = reader?.op === "add_bias" && others.length === 0 && !outputs.includes(y);
    changed.set(biased ? reader : linear, { path, linear, base: weightOf(graph, linear) as WeightSource });
  }
  return changed;
}

function addChange(
  rewriter: GraphRewriter,
  node: Node,
  { path, linear, base }: Change,
  adapters: readonly ActiveAdapter[],
): void {
  const result = node.outputs.y as ValueId;
  const { name, shape, dtype } = rewriter.values[result] as Value;
  let sum = rewriter.addValue({ name, shape, dtype, origin: { kind: "computed" } }).id;
  rewriter.nodes.push({ ...node, outputs: { y: sum } });
  const active = adapters.filter(({ adapter }) => adapter.modules.has(path));
  active.forEach((adapter, index) => {
    const module = adapter.adapter.modules.get(path);
    if (!module) return;
    const specs = adapterSpecs(module, base, adapter.scale);
    const scope = `${node.scope}.${adapter.id}`;
    const weight = (spec: WeightSpec, name: string) => addWeight(rewriter, spec, name, adapter);
    const low = rewriter.addNode(
      "linear",
      { x: linear.inputs.x as ValueId, w: weight(specs.a, specs.a.name) },
      {},
      scope,
    );
    const w = weight(specs.b, `${specs.b.name} * ${adapter.scale}`);
    const delta = rewriter.addNode("linear", { x: low.y as ValueId, w }, {}, scope);
    const last = index === active.length - 1;
    const added = rewriter.addNode(
      "add",
      { a: sum, b: delta.y as ValueId },
      {},
      scope,
      last ? { y: result } : {},
    );
    sum = added.y as ValueId;
  });
}

/** A weight of the adapter; its name says whose it is and, for B, how it was scaled. */
function addWeight(
  rewriter: GraphRewriter,
  spec: WeightSpec,
  name: string,
  { id, dtype }: ActiveAdapter,
): ValueId {
  const named: WeightSpec = { ...spec, name: `${id}: ${name}`, dtype, origin: id };
  return rewriter.weight(named);
}

/** Linears whose weight is one tensor, with their paths. */
function modulePaths(graph: Graph): Map<Node, string> {
  const embedded = new Set(graph.nodes.flatMap(({ op, inputs }) => (op === "embed" ? [inputs.table] : [])));
  const paths = new Map<Node, string>();
  for (const node of graph.nodes) {
    const source = node.op === "linear" ? weightOf(graph, node) : null;
    if (!source) continue;
    // A head that reads the embedding's rows is a module of its own all the same.
    paths.set(node, embedded.has(node.inputs.w) ? TIED_HEAD : source.tensor.replace(/\.weight$/, ""));
  }
  return paths;
}

function weightOf(graph: Graph, node: Node): WeightSource | null {
  const origin = graph.values[node.inputs.w as ValueId]?.origin;
  if (origin?.kind !== "weight" || origin.spec.sources.length !== 1) return null;
  return origin.spec.sources[0] ?? null;
}
