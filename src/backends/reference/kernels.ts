/** The reference kernel of every op; the type checker names a missing one. */
import { attentionPaged, attentionVarlen, ropeAttentionPaged } from "./attention.ts";
import { add, addBias, gelu, swiglu } from "./elementwise.ts";
import { experts, routeExperts } from "./experts.ts";
import type { KernelTable } from "./kernel.ts";
import { kvWrite } from "./kv-cache.ts";
import { linear, linearBias, linearSwiglu } from "./linear.ts";
import { addRmsNorm, layerNorm, rmsNorm, rmsNormAddRmsNorm } from "./norm.ts";
import { positionEmbedBicubic } from "./position-embed.ts";
import { rope } from "./rope.ts";
import { embed, gatherRows, scatterRows } from "./rows.ts";
import { sample } from "./sample.ts";

export const KERNELS: KernelTable = {
  linear,
  add_bias: addBias,
  linear_bias: linearBias,
  add,
  rms_norm: rmsNorm,
  add_rms_norm: addRmsNorm,
  rms_norm_add_rms_norm: rmsNormAddRmsNorm,
  layer_norm: layerNorm,
  rope,
  kv_write: kvWrite,
  attention_paged: attentionPaged,
  rope_attention_paged: ropeAttentionPaged,
  attention_varlen: attentionVarlen,
  swiglu,
  linear_swiglu: linearSwiglu,
  gelu,
  embed,
  gather_rows: gatherRows,
  scatter_rows: scatterRows,
  position_embed_bicubic: positionEmbedBicubic,
  route_experts: routeExperts,
  experts,
  sample,
};
