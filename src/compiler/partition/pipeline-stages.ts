/** Where a model is cut into pipeline stages: at decoder layers, which scopes of nodes tell ("layers.N"). */
import { GlimtError } from "../../errors.ts";
import type { Graph, Node, ValueId } from "../../graph/graph.ts";
import { storageBytes } from "../../tensor/storage.ts";

/**
 * The stage of each node. What stands before the layers is of the first stage, what stands behind them of the last; a graph
 * without layers is of the first.
 *
 * @param cuts the first layer of each stage but the first.
 */
export function nodeStages({ nodes }: Pick<Graph, "nodes">, cuts: readonly number[]): Map<Node, number> {
  const stages = new Map<Node, number>();
  let stage = 0;
  let isBehind = false;
  for (const node of nodes) {
    const layer = layerOf(node);
    if (layer !== null) {
      isBehind = true;
      stage = Math.max(stage, cuts.filter((first) => first <= layer).length);
    } else if (isBehind) {
      stage = cuts.length;
    }
    stages.set(node, stage);
  }
  return stages;
}

/**
 * Cuts for so many stages, of which the largest has as few bytes of weights as can be; a weight counts for every stage that
 * reads it.
 *
 * @param beside bytes that the first stage has beside the graph's
 * @throws OPTION_INVALID when there are fewer layers than stages
 */
export function balancedCuts(graph: Graph, stages: number, beside = 0): number[] {
  const bytes = layerBytes(graph);
  bytes[0] = (bytes[0] ?? 0) + beside;
  const layers = bytes.length;
  if (layers < stages) {
    throw new GlimtError("OPTION_INVALID", `${layers} decoder layers can not be cut into ${stages} stages.`);
  }
  const before = [0];
  for (const layer of bytes) before.push((before.at(-1) as number) + layer);
  const between = (first: number, end: number) => (before[end] as number) - (before[first] as number);
  /** By number of stages and end: the least of the largest, and where the last of these stages begins. */
  let best = bytes.map((_, index) => ({ most: between(0, index + 1), cuts: [] as number[] }));
  for (let stage = 1; stage < stages; stage++) {
    best = bytes.map((_, index) => {
      let found = { most: Number.POSITIVE_INFINITY, cuts: [] as number[] };
      for (let first = stage; first <= index; first++) {
        const earlier = best[first - 1] as typeof found;
        const most = Math.max(earlier.most, between(first, index + 1));
        if (most < found.most) found = { most, cuts: [...earlier.cuts, first] };
      }
      return found;
    });
  }
  return (best[layers - 1] as { cuts: number[] }).cuts;
}

/** @throws OPTION_INVALID for cuts that leave a stage without layers */
export function checkCuts(graph: Pick<Graph, "name" | "nodes">, cuts: readonly number[]): void {
  const layers = 1 + Math.max(-1, ...graph.nodes.map((node) => layerOf(node) ?? -1));
  const bounds = [0, ...cuts, layers];
  if (
    bounds.every(
      (bound, index) => Number.isInteger(bound) && (index === 0 || bound > (bounds[index - 1] as number)),
    )
  ) {
    return;
  }
  throw new GlimtError(
    "OPTION_INVALID",
    `${layers} decoder layers can not be cut before layers ${cuts.join(", ")}: each stage needs one, in order.`,
  );
}

/** Bytes of each layer's weights; those before the first and behind the last count with these. */
function layerBytes(graph: Graph): number[] {
  const read: Set<ValueId>[] = [];
  let layer = 0;
  for (const node of graph.nodes) {
    layer = Math.max(layer, layerOf(node) ?? 0);
    const weights = Object.values(node.inputs).filter((id) => graph.values[id]?.origin.kind === "weight");
    read[layer] = new Set([...(read[layer] ?? []), ...weights]);
  }
  return Array.from(read, (weights = new Set()) =>
    [...weights].reduce((sum, id) => {
      const { shape, dtype } = graph.values[id] as Graph["values"][number];
      const [rows = 1, cols = 1] = shape as readonly number[];
      return sum + storageBytes(dtype, rows, cols);
    }, 0),
  );
}

function layerOf({ scope }: Node): number | null {
  const found = /^layers\.(\d+)(?:\.|$)/.exec(scope);
  return found ? Number(found[1]) : null;
}
