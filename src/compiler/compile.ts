/** The compiler: checks, passes (checked again after each), memory plan, program, verification. */
import type { Graph } from "../graph/graph.ts";
import type { Supports } from "../graph/node-query.ts";
import { type VerifiedProgram, verifyProgram } from "../program/verify-program.ts";
import type { ChooseLayout } from "../program/weights.ts";
import { lowerGraph } from "./lower.ts";
import type { SizeHints } from "./memory-plan.ts";
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
}

/** @throws GRAPH_INVALID when the graph, or what a pass made of it, breaks a rule. */
export function compileGraph(graph: Graph, options: CompileOptions = {}): VerifiedProgram {
  const { sizeHints = {}, weightLayout = () => "plain" } = options;
  return verifyProgram(lowerGraph(optimizeGraph(graph, options), sizeHints, weightLayout));
}

/** The graph after all passes: what `compileGraph` lowers. */
export function optimizeGraph(
  graph: Graph,
  { passes = DEFAULT_PASSES, supports = () => true }: CompileOptions = {},
): Graph {
  verifyGraph(graph, "building");
  return [...passes, expandCompositions].reduce((current, pass) => {
    const next = pass.run(current, supports);
    if (next !== current) verifyGraph(next, pass.name, current);
    return next;
  }, graph);
}
