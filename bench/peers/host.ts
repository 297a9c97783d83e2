/** The machine that a run holds for. */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";

/** Hosts that native programs differ on: those with 512-bit vectors, those with 256-bit ones, all others. */
export type HostClass = "AVX-512" | "AVX2" | "other";

export interface Host {
  readonly class: HostClass;
  readonly processor: string;
  readonly processors: number;
  /** Of the processor, those that matrix products are made of. */
  readonly features: readonly string[];
  readonly memoryGB: number;
  /** Processes that ran or waited to, over the last minute. */
  readonly load: number;
  readonly node: string;
}

const FEATURES = /^(sse4_2|avx|avx2|fma|f16c|avx_?vnni.*|avx512.*|amx.*|asimd.*|sve.*|i8mm|bf16)$/;

export function describeHost(): Host {
  const features = processorFeatures();
  return {
    class: hostClass(features),
    processor: cpus()[0]?.model.trim() ?? "unknown",
    processors: availableParallelism(),
    features,
    memoryGB: totalmem() / 1e9,
    load: loadavg()[0] ?? 0,
    node: process.version,
  };
}

export function hostClass(features: readonly string[]): HostClass {
  if (features.includes("avx512f")) return "AVX-512";
  return features.includes("avx2") ? "AVX2" : "other";
}

/** None where there is no /proc/cpuinfo, which only Linux has. */
function processorFeatures(): string[] {
  try {
    const [, flags = ""] = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8")) ?? [];
    return flags
      .trim()
      .split(/\s+/)
      .filter((flag) => FEATURES.test(flag));
  } catch {
    return [];
  }
}
