/** GLM-4.5V's mixture of experts: sigmoid router with a correction bias, routed experts, and shared ones. */

import type { MoeConfig } from "../config/types.ts";
import type { GraphBuilder } from "../graph/builder.ts";
import type { Value } from "../graph/graph.ts";
import type { WeightSource } from "../graph/weight-spec.ts";
import { columns, gatedMlp, linear } from "./layers.ts";

export function mixtureOfExperts(g: GraphBuilder, x: Value, path: string, moe: MoeConfig): Value {
  const { numExperts, moeIntermediateSize: width, numExpertsPerToken: topK } = moe;
  const hidden = columns(x);
  const logits = linear(g, x, `${path}.gate`, numExperts, false);
  const correction = g.weight(`${path}.gate.e_score_correction_bias`, [numExperts]);
  const { experts, weights } = g.route_experts(
    { logits, correction },
    {
      topK,
      numGroups: moe.numGroups,
      topkGroups: moe.topkGroups,
      normalise: moe.normTopkProb ? "yes" : "no",
      scale: moe.routedScalingFactor,
    },
  );

  // Experts are published one by one; stacked, they are one matrix that experts index by row block.
  const stack = (projections: readonly string[], shape: readonly number[]): WeightSource[] =>
    Array.from({ length: numExperts }, (_, expert) =>
      projections.map(
        (name): WeightSource => ({
          tensor: `${path}.experts.${expert}.${name}.weight`,
          shape,
          layout: "rows",
        }),
      ),
    ).flat();
  const gateUp = g.weight(`${path}.experts.gate_up_proj`, [numExperts * 2 * width, hidden], {
    sources: stack(["gate_proj", "up_proj"], [width, hidden]),
  });
  const down = g.weight(`${path}.experts.down_proj`, [numExperts * hidden, width], {
    sources: stack(["down_proj"], [hidden, width]),
  });
  const routed = g.experts(
    { x, experts, weights, gateUp, down },
    { numExperts, topK, width, firstExpert: 0, totalExperts: numExperts },
  );
  return g.add({
    a: routed,
    b: gatedMlp(g, x, `${path}.shared_experts`, moe.numSharedExperts * width, false),
  });
}
