/** route_experts, experts */
import { BLOCK_FORMATS, blockCols, type WeightFormat } from "../../tensor/storage.ts";
import { type OpCase, type OpCases, opCase, ROW_COUNTS, T, WEIGHT_DTYPES } from "../case.ts";
import { normal, strided, uniform } from "../operands.ts";
import type { Random } from "../random.ts";

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

function routeExpertsCases(): OpCase[] {
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

/** Whom tokens choose: any experts; none but the even ones; all the last ones. */
type Routing = "any" | "even" | "last";

/** [numExperts, topK, n, width] */
const EXPERTS = [
  [1, 1, 1, 1],
  [4, 2, 7, 5],
  [8, 3, 16, 33],
  [6, 6, 65, 12],
] as const;

/** Enough tokens for a backend to compute each expert's together. */
const MANY_TOKENS: readonly (readonly [
  t: number,
  numExperts: number,
  topK: number,
  n: number,
  width: number,
  routing: Routing,
])[] = [
  [65, 4, 3, 72, 40, "any"],
  [67, 70, 2, 24, 8, "even"],
  [130, 3, 1, 136, 72, "last"],
  [65, 2, 2, 1032, 8, "any"],
  [64, 5, 2, 40, 104, "last"],
];

/** [t, numExperts, topK, n, width] of weights in blocks */
const EXPERTS_OF_BLOCKS = [
  [0, 4, 2, 32, 96],
  [1, 4, 2, 32, 96],
  [2, 4, 2, 32, 96],
  [7, 4, 2, 32, 96],
  [17, 4, 2, 32, 96],
  [9, 3, 1, 64, 32],
  [65, 4, 3, 96, 64],
  // Experts in several tiles of tokens; more columns than are mixed at a time.
  [130, 3, 1, 160, 96],
  [65, 2, 2, 1056, 32],
] as const;
const EXPERTS_OF_LONG_BLOCKS = [
  [1, 4, 2, 256, 512],
  [7, 4, 2, 256, 256],
  [18, 1, 1, 256, 256],
] as const;

/** Three of more experts: the first, some between, the last; few tokens and many; none that is chosen. */
const EXPERT_PARTS = [
  { t: 9, topK: 2, first: 0, total: 6, routing: "any" },
  { t: 17, topK: 3, first: 3, total: 9, routing: "any" },
  { t: 65, topK: 4, first: 5, total: 8, routing: "any" },
  { t: 130, topK: 2, first: 2, total: 8, routing: "even" },
  { t: 70, topK: 2, first: 0, total: 6, routing: "last" },
] as const;

function expertsCases(): OpCase[] {
  const blocks = BLOCK_FORMATS.flatMap((weight) =>
    (blockCols(weight) > 32 ? EXPERTS_OF_LONG_BLOCKS : EXPERTS_OF_BLOCKS).map(
      ([t, numExperts, topK, n, width]) => expertsCase(weight, t, numExperts, topK, n, width),
    ),
  );
  const fp8 = [0, 1, 7, 17, 65, 130].map((t) => expertsCase("fp8", t, 4, 3, 256, 128));
  const parts = (["f32", "bf16", "q8"] as const).flatMap((weight) =>
    EXPERT_PARTS.map((part) => expertsCase(weight, part.t, 3, part.topK, 64, 32, part.routing, part)),
  );
  const others = WEIGHT_DTYPES.flatMap((weight) => [
    ...EXPERTS.flatMap(([numExperts, topK, n, width]) =>
      ROW_COUNTS.map((t) => expertsCase(weight, t, numExperts, topK, n, width)),
    ),
    ...MANY_TOKENS.map((sizes) => expertsCase(weight, ...sizes)),
  ]);
  return [...others, ...blocks, ...fp8, ...parts];
}

function expertsCase(
  weight: WeightFormat,
  t: number,
  numExperts: number,
  topK: number,
  n: number,
  width: number,
  routing: Routing = "any",
  part?: { readonly first: number; readonly total: number },
): OpCase {
  const { first, total } = part ?? { first: 0, total: numExperts };
  const x = normal([T, n]);
  const view = t === 7;
  const choose = (random: Random): number[] => {
    if (routing === "last") return Array.from({ length: topK }, (_, k) => total - 1 - k);
    const chosen = random.permutation(total);
    return (routing === "even" ? chosen.filter((expert) => expert % 2 === 0) : chosen).slice(0, topK);
  };
  return opCase("experts", {
    fields: {
      t,
      numExperts,
      topK,
      n,
      width,
      weight,
      x: view ? "strided" : "whole",
      ...(routing !== "any" && { routing }),
      ...(part && { experts: `${first}+${numExperts}/${total}` }),
    },
    weight,
    symbols: { t },
    attrs: { numExperts, topK, width, firstExpert: first, totalExperts: total },
    operands: {
      x: view ? strided(x) : x,
      experts: {
        shape: [T, topK],
        fill: (random, count) => Array.from({ length: count / topK }, () => choose(random)).flat(),
      },
      weights: uniform([T, topK], 0, 1),
      gateUp: normal([numExperts * 2 * width, n], { scale: 1 / Math.sqrt(n) }),
      down: normal([numExperts * n, width], { scale: 1 / Math.sqrt(width) }),
    },
  });
}

export const mixtureCases = {
  route_experts: routeExpertsCases,
  experts: expertsCases,
} satisfies OpCases;
