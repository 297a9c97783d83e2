/** Mixture of experts: route_experts chooses, experts computes. */
import { gated } from "./elementwise.ts";
import { checkedIndex, type Kernel, type Kernels } from "./kernel.ts";
import { openProducts } from "./linear.ts";

/** Chosen experts are in descending order of score + correction; of equal ones the lower index comes first. */
const routeExperts: Kernel<"route_experts"> = (
  { logits, correction },
  { experts, weights },
  { topK, numGroups, topkGroups, normalise, scale },
) => {
  const correctionOf = correction.toFloat32();
  const numExperts = logits.cols;
  const groupSize = numExperts / numGroups;
  const row = new Float32Array(numExperts);
  for (let t = 0; t < logits.rows; t++) {
    logits.readRow(t, row);
    const scores = Float64Array.from(row, (logit) => 1 / (1 + Math.exp(-logit)));
    const ranked = scores.map((score, e) => score + (correctionOf[e] as number));
    const groups = Float64Array.from({ length: numGroups }, (_, group) => {
      const members = ranked.subarray(group * groupSize, (group + 1) * groupSize);
      return best(members, 2).reduce((sum, member) => sum + (members[member] as number), 0);
    });
    const open = new Set(best(groups, topkGroups));
    const candidates = ranked.map((score, e) =>
      open.has(Math.floor(e / groupSize)) ? score : Number.NEGATIVE_INFINITY,
    );
    const chosen = best(candidates, topK);
    let chosenScores = chosen.map((e) => scores[e] as number);
    if (normalise === "yes") {
      const total = chosenScores.reduce((sum, score) => sum + score, 0) + 1e-20;
      chosenScores = chosenScores.map((score) => score / total);
    }
    experts.writeRow(t, chosen);
    weights.writeRow(
      t,
      chosenScores.map((score) => score * scale),
    );
  }
};

/** Indices of the `count` largest values, largest first. */
function best(values: Float64Array, count: number): number[] {
  const order = Array.from(values.keys());
  order.sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
  return order.slice(0, count);
}

const experts: Kernel<"experts"> = (
  { x, experts: chosen, weights, gateUp, down },
  { y },
  { numExperts, topK, width, firstExpert, totalExperts },
) => {
  const size = x.cols;
  const xs = x.toFloat32();
  const chosenOf = chosen.toInt32();
  const weightOf = weights.toFloat32();
  const sums = new Float64Array(x.rows * size);
  const gateProducts = openProducts(gateUp, xs);
  const upProducts = openProducts(gateUp, xs);
  for (const e of chosenOf) checkedIndex("experts", "expert", e, totalExperts);
  for (let e = 0; e < numExperts; e++) {
    const uses = [...chosenOf.keys()].filter((index) => chosenOf[index] === firstExpert + e);
    if (uses.length === 0) continue;
    const hidden = new Float32Array(uses.length * width);
    for (let i = 0; i < width; i++) {
      const gate = gateProducts(e * 2 * width + i);
      const up = upProducts((e * 2 + 1) * width + i);
      uses.forEach((use, u) => {
        const token = Math.floor(use / topK);
        hidden[u * width + i] = gated(gate(token), up(token));
      });
    }
    const downProducts = openProducts(down, hidden);
    for (let n = 0; n < size; n++) {
      const product = downProducts(e * size + n);
      uses.forEach((use, u) => {
        const place = Math.floor(use / topK) * size + n;
        sums[place] = (sums[place] as number) + (weightOf[use] as number) * product(u);
      });
    }
  }
  for (let t = 0; t < x.rows; t++) y.writeRow(t, sums, t * size);
};

export const expertsKernels = {
  route_experts: routeExperts,
  experts,
} satisfies Kernels;
