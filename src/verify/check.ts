/** One thing that is compared with the judge, and what came of it. */
import { BOUNDS, type Exactness } from "./bounds.ts";
import { type Difference, differenceOf } from "./difference.ts";

export const STAGES = ["ids", "pixels", "positions", "features", "logits", "tokens"] as const;
export type Stage = (typeof STAGES)[number];

export interface Check {
  readonly stage: Stage;
  readonly verdict: "same" | "wrong" | "skipped";
  /** What was found, or why it was skipped: one line without places of this machine. */
  readonly detail: string;
  readonly difference?: Difference;
  /** Most that the difference's share may be, and why. */
  readonly bound?: { readonly share: number; readonly exactness: Exactness };
}

export function skipped(stage: Stage, detail: string): Check {
  return { stage, verdict: "skipped", detail };
}

/** Of values that are to be equal. */
export function equal(stage: Stage, differs: readonly string[], detail: string): Check {
  return differs.length === 0
    ? { stage, verdict: "same", detail }
    : { stage, verdict: "wrong", detail: differs.join("; ") };
}

/** Of values that are to be near; `rows` of them make one vector of the model. */
export function near(
  stage: Stage,
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  exactness: Exactness,
  rows: number,
): Check {
  if (found.length !== expected.length) {
    return { stage, verdict: "wrong", detail: `${found.length} values in place of ${expected.length}` };
  }
  const difference = differenceOf(found, expected);
  const bound = { share: BOUNDS[exactness], exactness };
  const cols = expected.length / rows;
  const [row, col] = [Math.floor(difference.at / cols), difference.at % cols];
  const detail = `${rows} of ${cols}, the largest difference at ${row}, ${col}: ${found[difference.at]} for ${expected[difference.at]}`;
  // A NaN is not within.
  return { stage, verdict: difference.share <= bound.share ? "same" : "wrong", detail, difference, bound };
}
