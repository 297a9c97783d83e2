/** route_experts, experts */
import { type OpCase, opCase, ROW_COUNTS, T, WEIGHT_DTYPES } from "../case.ts";
import { normal, strided, uniform } from "../operands.ts";

/** [experts, topK, numGroups, topkGroups] */
const ROUTERS = [
  [4, 1, 1, 1],
  [8, 2, 1, 1],
  [8, 8, 1, 1],
  [16, 4, 4, 2],
  [12, 3, 3, 1],
  [128, 8, 1, 1],
  [160, 6, 8, 3],
] as const;

export function routeExpertsCases(): OpCase[] {
  return ROUTERS.flatMap(([e, topK, numGroups, topkGroups]) =>
    (["no", "yes"] as const).flatMap((normalise) =>
      ROW_COUNTS.map((t) => {
        const logits = normal([T, e], { scale: 2 });
        const view = t === 7;
        return opCase("route_experts", {
          fields: { t, e, topK, numGroups, topkGroups, normalise, logits: view ? "strided" : "whole" },
          symbols: { t },
          attrs: { topK, numGroups, topkGroups, normalise, scale: 2.5 },
          operands: { logits: view ? strided(logits) : logits, correction: normal([e], { scale: 0.3 }) },
        });
      }),
    ),
  );
}

/** [numExperts, topK, n, width] */
const EXPERTS = [
  [1, 1, 1, 1],
  [4, 2, 7, 5],
  [8, 3, 16, 33],
  [6, 6, 65, 12],
] as const;

export function expertsCases(): OpCase[] {
  return WEIGHT_DTYPES.flatMap((weight) =>
    EXPERTS.flatMap(([numExperts, topK, n, width]) =>
      ROW_COUNTS.map((t) => {
        const x = normal([T, n]);
        const view = t === 7;
        return opCase("experts", {
          fields: { t, numExperts, topK, n, width, weight, x: view ? "strided" : "whole" },
          weight,
          symbols: { t },
          attrs: { numExperts, topK, width },
          operands: {
            x: view ? strided(x) : x,
            experts: {
              shape: [T, topK],
              fill: (random, count) =>
                Array.from({ length: count / topK }, () =>
                  random.permutation(numExperts).slice(0, topK),
                ).flat(),
            },
            weights: uniform([T, topK], 0, 1),
            gateUp: normal([numExperts * 2 * width, n], { scale: 1 / Math.sqrt(n) }),
            down: normal([numExperts * n, width], { scale: 1 / Math.sqrt(width) }),
          },
        });
      }),
    ),
  );
}
