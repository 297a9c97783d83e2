/** How large an engine's memory may get, and what to say when that is too little. */
import { GlimtError } from "../../errors.ts";
import type { Kernels } from "./kernels.ts";
import { chooseAmong, VARIANT_FACTS, type VariantFacts } from "./variant-choice.ts";

export interface MemoryLimit {
  readonly bytes: number;
  /** Whether the caller of `loadModel` said it. */
  readonly isAsked: boolean;
  /** Who says so, and what can be changed about it. */
  readonly reason: string;
  readonly remedy: string;
}

/** @param maxMemory as the caller of `loadModel` said it */
export function memoryLimit({ mostBytes }: VariantFacts, maxMemory = Number.POSITIVE_INFINITY): MemoryLimit {
  if (maxMemory < mostBytes) {
    return { bytes: maxMemory, isAsked: true, reason: "maxMemory", remedy: "raise maxMemory" };
  }
  return {
    bytes: mostBytes,
    isAsked: false,
    ...(mostBytes > 2 ** 32
      ? { reason: "the most that WebAssembly engines give", remedy: "use another backend" }
      : {
          reason: "the end of 32-bit addresses",
          remedy: hasMemory64()
            ? 'take more room with wasmVariant "relaxed64"'
            : "use a host with 64-bit WebAssembly memory (Node.js 24, Chrome 133) or another backend",
        }),
  };
}

const hasMemory64 = () => "variant" in chooseAmong(VARIANT_FACTS, { threads: false, kind: "relaxed64" });

/** What was wanted, what is left, who limits it, and what to change. */
export function outOfMemory(kernels: Kernels, bytes: number, what: string): GlimtError {
  const { limit } = kernels;
  const left = kernels.glimt_available_bytes();
  // Free memory in pieces, or an engine or a system that gives less than it may.
  const though = left >= bytes ? ", not in one piece, or the system gives no more" : "";
  return new GlimtError(
    "OUT_OF_MEMORY",
    `WebAssembly could not allocate ${bytes} bytes for ${what}: ${inUnits(left)} of ${inUnits(limit.bytes)} are left${though} (${limit.reason}). Use a smaller dtype, a smaller context or image limit, or ${limit.remedy}.`,
  );
}

/** Two places of MiB tell a small limit from what is left of it. */
export function inUnits(bytes: number): string {
  const [unit, name] = bytes < 2 ** 30 ? [2 ** 20, "MiB"] : [2 ** 30, "GiB"];
  return `${Number((bytes / unit).toFixed(2))} ${name}`;
}
