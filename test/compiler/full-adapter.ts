/** An adapter without tensors, for tests of what the compiler makes of one. */
import type { AdapterModule } from "../../src/checkpoint/adapter.ts";
import type { StoredWeight } from "../../src/checkpoint/stored-weight.ts";
import { type ActiveAdapter, linearModules } from "../../src/compiler/passes/apply-adapters.ts";
import type { Graph } from "../../src/graph/graph.ts";

/** Of rank `rank`, on every linear of the graph that `takes` says. */
export function fullAdapter(
  graph: Graph,
  id: string,
  rank: number,
  takes = (_path: string) => true,
): ActiveAdapter {
  const modules = new Map<string, AdapterModule>();
  for (const [path, { shape }] of linearModules(graph)) {
    const stored = (shape: readonly number[]) => ({ shape }) as StoredWeight;
    const [n, ...inputs] = shape as [number, ...number[]];
    const b = [n, rank, ...inputs.slice(1).map(() => 1)];
    if (takes(path))
      modules.set(path, { path, rank, scaling: 2, a: stored([rank, ...inputs]), b: stored(b) });
  }
  return { id, scale: 1, adapter: { modules }, dtype: "f32" };
}
