/**
 * Moves column slices of a linear's result into its weight: slice(x wᵀ + bias) becomes a linear with these rows of w and
 * bias, through what is added to it. Stacked projections (gate and up; the tower's q, k and v) are split over ranks one by
 * one; merge-linears stacks the parts again.
 */
import { consumers, type Graph, type Node, type Value, type ValueId } from "../../graph/graph.ts";
import { type IndexRange, type WeightSpec, weightPart } from "../../graph/weight-spec.ts";
import { GraphRewriter, type Pass } from "../passes/pass.ts";
import { removeDead } from "../passes/remove-dead.ts";

export const narrowSlices: Pass = {
  name: "narrow-slices",
  run(graph) {
    const sums = new SlicedSums(graph);
    const isMoved = (node: Node) => node.op === "slice" && sums.areSliced(node.inputs.x as ValueId);
    if (!graph.nodes.some(isMoved)) return graph;
    const rewriter = new GraphRewriter(graph);
    for (const node of graph.nodes) {
      if (!isMoved(node)) {
        rewriter.nodes.push(node);
        continue;
      }
      const { start: first, length: count } = node.attrs as { start: number; length: number };
      sums.narrow(rewriter, node.inputs.x as ValueId, { first, count }, node.outputs.y);
    }
    return removeDead.run(rewriter.finish());
  },
};

/** Sums of linears and biases of which nobody reads but slices. */
class SlicedSums {
  readonly #values: readonly Value[];
  readonly #producers: ReadonlyMap<ValueId, Node>;
  readonly #readers: ReadonlyMap<ValueId, readonly Node[]>;
  readonly #results: ReadonlySet<ValueId>;

  constructor(graph: Graph) {
    this.#values = graph.values;
    this.#producers = new Map(
      graph.nodes.flatMap((node) => Object.values(node.outputs).map((id) => [id, node] as const)),
    );
    this.#readers = consumers(graph);
    this.#results = new Set(Object.values(graph.outputs));
  }

  areSliced(id: ValueId): boolean {
    const readers = this.#readers.get(id) ?? [];
    return readers.every(({ op }) => op === "slice") && this.#isSum(id);
  }

  /** Computes columns of the value, as `result` where that is given. */
  narrow(rewriter: GraphRewriter, id: ValueId, columns: IndexRange, result?: ValueId): ValueId {
    const { op, inputs, scope } = this.#producers.get(id) as Node;
    const outputs = result === undefined ? {} : { y: result };
    const rowsOf = (weight: ValueId) =>
      rewriter.weight(weightPart(this.#spec(weight) as WeightSpec, { rows: columns }));
    const operand = (name: string) => this.narrow(rewriter, inputs[name] as ValueId, columns);
    const narrowed: Record<string, ValueId> =
      op === "linear"
        ? { x: inputs.x as ValueId, w: rowsOf(inputs.w as ValueId) }
        : op === "add_bias"
          ? { x: operand("x"), bias: rowsOf(inputs.bias as ValueId) }
          : { a: operand("a"), b: operand("b") };
    return rewriter.addNode(op, narrowed, {}, scope, outputs).y as ValueId;
  }

  #isSum(id: ValueId): boolean {
    const node = this.#producers.get(id);
    if (!node || this.#results.has(id)) return false;
    const isTerm = (name: string) => {
      const term = node.inputs[name] as ValueId;
      return this.#readers.get(term)?.length === 1 && this.#isSum(term);
    };
    if (node.op === "linear") return this.#spec(node.inputs.w as ValueId) !== null;
    if (node.op === "add_bias") return this.#spec(node.inputs.bias as ValueId) !== null && isTerm("x");
    return node.op === "add" && isTerm("a") && isTerm("b");
  }

  #spec(id: ValueId): WeightSpec | null {
    const origin = this.#values[id]?.origin;
    return origin?.kind === "weight" ? origin.spec : null;
  }
}
