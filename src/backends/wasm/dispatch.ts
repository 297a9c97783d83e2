/** Writes wasm/kernels/dispatch.gen.h. */
import { dispatchHeader } from "../../program/dispatch.ts";
import { COMPOSED_OPS } from "./composed-ops.ts";

export function wasmDispatch(): string {
  return dispatchHeader({ type: "Kernel", find: "kernelOf", composed: COMPOSED_OPS });
}
