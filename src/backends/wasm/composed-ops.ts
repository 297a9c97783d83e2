/** Fused ops that have no kernel here: fusing them saves a GPU's launches; in WebAssembly their compositions are as fast. */
import type { FusedOp, OpName } from "../../graph/ops.ts";

const COMPOSED: readonly FusedOp[] = ["rms_norm_add_rms_norm", "rope_attention_paged", "linear_swiglu"];

/** wasm/kernels/dispatch.gen.h, which is written from this, expects a kernel of every other op. */
export const COMPOSED_OPS: ReadonlySet<OpName> = new Set(COMPOSED);
