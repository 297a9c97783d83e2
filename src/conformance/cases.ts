/** The conformance cases of every op, from the files that hold them; the type checker names an op that has none. */
import type { OpCases } from "./case.ts";
import { adjustLogitsCases } from "./cases/adjust-logits.ts";
import { attentionCases } from "./cases/attention.ts";
import { draftsCases } from "./cases/drafts.ts";
import { elementwiseCases } from "./cases/elementwise.ts";
import { mixtureCases } from "./cases/experts.ts";
import { linearCases } from "./cases/linear.ts";
import { normCases } from "./cases/norm.ts";
import { positionCases } from "./cases/position-embed.ts";
import { rotaryCases } from "./cases/rope.ts";
import { rowCases } from "./cases/rows.ts";
import { samplingCases } from "./cases/sample.ts";

export const OP_CASES: Required<OpCases> = {
  ...adjustLogitsCases,
  ...attentionCases,
  ...draftsCases,
  ...elementwiseCases,
  ...linearCases,
  ...mixtureCases,
  ...normCases,
  ...positionCases,
  ...rotaryCases,
  ...rowCases,
  ...samplingCases,
};
