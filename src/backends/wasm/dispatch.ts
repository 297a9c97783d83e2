/** Writes wasm/kernels/dispatch.gen.cpp. */
import { dispatchSource } from "../../program/dispatch.ts";
import { COMPOSED_OPS } from "./composed-ops.ts";

export function wasmDispatch(): string {
  return dispatchSource({
    include: "dispatch.h",
    type: "Kernel",
    find: "kernelOf",
    composed: COMPOSED_OPS,
  });
}
