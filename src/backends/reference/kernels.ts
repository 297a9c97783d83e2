/** The reference kernels, from the files that hold them; the type checker names an op that needs one and has none. */
import { adjustLogitsKernels } from "./adjust-logits.ts";
import { attentionKernels } from "./attention.ts";
import { attentionWeightsKernels } from "./attention-weights.ts";
import { draftsKernels } from "./drafts.ts";
import { elementwiseKernels } from "./elementwise.ts";
import { expertsKernels } from "./experts.ts";
import type { KernelTable } from "./kernel.ts";
import { kvCacheKernels } from "./kv-cache.ts";
import { linearKernels } from "./linear.ts";
import { normKernels } from "./norm.ts";
import { positionEmbedKernels } from "./position-embed.ts";
import { ropeKernels } from "./rope.ts";
import { rowsKernels } from "./rows.ts";
import { sampleKernels } from "./sample.ts";

export const KERNELS: KernelTable = {
  ...adjustLogitsKernels,
  ...attentionKernels,
  ...attentionWeightsKernels,
  ...draftsKernels,
  ...elementwiseKernels,
  ...expertsKernels,
  ...kvCacheKernels,
  ...linearKernels,
  ...normKernels,
  ...positionEmbedKernels,
  ...ropeKernels,
  ...rowsKernels,
  ...sampleKernels,
};
