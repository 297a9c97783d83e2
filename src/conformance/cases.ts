/** The conformance cases of every op; the type checker names an op that has none. */
import type { OpName } from "../graph/ops.ts";
import type { OpCase } from "./case.ts";
import {
  attentionPagedCases,
  attentionVarlenCases,
  kvWriteCases,
  ropeAttentionPagedCases,
} from "./cases/attention.ts";
import { elementwiseCases } from "./cases/elementwise.ts";
import { expertsCases, routeExpertsCases } from "./cases/experts.ts";
import { linearCases, linearSwigluCases } from "./cases/linear.ts";
import { addRmsNormCases, layerNormCases, rmsNormAddRmsNormCases, rmsNormCases } from "./cases/norm.ts";
import { positionEmbedCases } from "./cases/position-embed.ts";
import { ropeCases } from "./cases/rope.ts";
import { embedCases, gatherRowsCases, mergeRowsCases, scatterRowsCases, sliceCases } from "./cases/rows.ts";
import { sampleCases } from "./cases/sample.ts";

export const OP_CASES: Readonly<Record<OpName, () => OpCase[]>> = {
  slice: sliceCases,
  merge_rows: mergeRowsCases,
  linear: () => linearCases("linear"),
  add_bias: () => elementwiseCases("add_bias"),
  linear_bias: () => linearCases("linear_bias"),
  add: () => elementwiseCases("add"),
  rms_norm: rmsNormCases,
  add_rms_norm: addRmsNormCases,
  rms_norm_add_rms_norm: rmsNormAddRmsNormCases,
  layer_norm: layerNormCases,
  rope: ropeCases,
  kv_write: kvWriteCases,
  attention_paged: attentionPagedCases,
  rope_attention_paged: ropeAttentionPagedCases,
  attention_varlen: attentionVarlenCases,
  swiglu: () => elementwiseCases("swiglu"),
  linear_swiglu: linearSwigluCases,
  gelu: () => elementwiseCases("gelu"),
  embed: embedCases,
  gather_rows: gatherRowsCases,
  scatter_rows: scatterRowsCases,
  position_embed_bicubic: positionEmbedCases,
  route_experts: routeExpertsCases,
  experts: expertsCases,
  sample: sampleCases,
};
