/** The compiler: checks, passes (checked again after each), memory plan, program, verification. */
import type { Graph } from "../graph/graph.ts";
import type { Supports } from "../graph/node-query.ts";
import { type VerifiedProgram, verifyProgram } from "../program/verify-program.ts";
import { verifyRanks } from "../program/verify-ranks.ts";
import type { ChooseLayout } from "../program/weights.ts";
import { lowerGraph } from "./lower.ts";
import type { SizeHints } from "./memory-plan.ts";
import { type Partition, partitionGraph } from "./partition/partition.ts";
import { expandCompositions, fuseCompositions } from "./passes/fuse-compositions.ts";
import { mergeLinears } from "./passes/merge-linears.ts";
import { narrowRows } from "./passes/narrow-rows.ts";
import type { Pass } from "./passes/pass.ts";
import { removeDead } from "./passes/remove-dead.ts";
import { verifyGraph } from "./verify.ts";

/** Rows are narrowed before anything is fused across the gather; merged linears may start one more fused op. */
export const DEFAULT_PASSES: readonly Pass[] = [
  removeDead,
  narrowRows,
  fuseCompositions,
  mergeLinears,
  fuseCompositions,
];

export interface CompileOptions {
  /** Instead of the default passes. */
  readonly passes?: readonly Pass[];
  /** Nodes for which this answers false are not fused, and expanded into simpler ones where they are compositions. */
  readonly supports?: Supports;
  /** The layouts that the backend wants its weights in; without it all are plain. */
  readonly weightLayout?: ChooseLayout;
  /** Typical symbol values, to weigh the memory plan. */
  readonly sizeHints?: SizeHints;
  /** A program for each rank of a device group is made too. */
  readonly partition?: Partition | undefined;
}

/**
 * @throws GRAPH_INVALID when the graph, or what a pass made of it, breaks a rule; OPTION_INVALID for a partition that can
 * not be.
 */
export function compileGraph(graph: Graph, options: CompileOptions = {}): VerifiedProgram {
  const { sizeHints = {}, weightLayout = () => "plain", partition } = options;
  const lower = (optimized: Graph) => verifyProgram(lowerGraph(optimized, sizeHints, weightLayout));
  const whole = lower(optimizeGraph(graph, options));
  if (!partition) return whole;
  const ranks = optimizeRanks(graph, partition, options).map(lower);
  verifyRanks(ranks, partition.tensor);
  return { ...whole, ranks };
}

/** The graph after all passes: what `compileGraph` lowers. */
export function optimizeGraph(
  graph: Graph,
  { passes = DEFAULT_PASSES, supports }: CompileOptions = {},
): Graph {
  verifyGraph(graph, "building");
  return runPasses(graph, [...passes, expandCompositions], supports);
}

/** The same of each rank. The passes that look at the whole graph are those before any that is not `ofWhole`. */
export function optimizeRanks(
  graph: Graph,
  partition: Partition,
  { passes = DEFAULT_PASSES, supports }: CompileOptions = {},
): Graph[] {
  verifyGraph(graph, "building");
  const place = passes.findIndex(({ ofWhole }) => !ofWhole);
  const [before, behind] = place < 0 ? [passes, []] : [passes.slice(0, place), passes.slice(place)];
  return partitionGraph(runPasses(graph, before, supports), partition).map((part) => {
    verifyGraph(part, "partition");
    return runPasses(part, [...behind, expandCompositions], supports);
  });
}

function runPasses(graph: Graph, passes: readonly Pass[], supports: Supports = () => true): Graph {
  return passes.reduce((current, pass) => {
    const next = pass.run(current, supports);
    if (next !== current) verifyGraph(next, pass.name, current);
    return next;
  }, graph);
}
