/** What a comparison with transformers found: what is printed, and what is attached to a bug. */
import type { EngineReport } from "../backends/backend.ts";
import type { StorageTotals } from "../checkpoint/tensor-storage.ts";
import type { WeightFormat } from "../tensor/storage.ts";
import type { BOUNDS } from "./bounds.ts";
import type { Check } from "./check.ts";
import type { Expected } from "./expected.ts";

export interface VerifyReport {
  /** "partly": nothing is wrong, and the judge could not read the weights. */
  readonly verdict: "same" | "wrong" | "partly";
  /** The name alone, without the folders before it. */
  readonly model: string;
  readonly architecture: string;
  readonly glimt: {
    readonly version: string;
    readonly backend: string;
    readonly engine: EngineReport;
    readonly activations: string;
    readonly kvCache: string;
    readonly dtype: WeightFormat;
    readonly conversions: readonly StorageTotals[];
    readonly host: Readonly<Record<string, string | number>>;
  };
  readonly judge: Omit<Expected, "cases">;
  readonly bounds: typeof BOUNDS;
  readonly cases: readonly CaseReport[];
}

export interface CaseReport {
  readonly name: string;
  readonly skipped: string | null;
  readonly checks: readonly Check[];
}

export function verdictOf(
  cases: readonly CaseReport[],
  { refused }: Pick<Expected, "refused">,
): VerifyReport["verdict"] {
  const checks = cases.flatMap((one) => one.checks);
  if (checks.some(({ verdict }) => verdict === "wrong")) return "wrong";
  return refused === null && checks.some(({ stage, verdict }) => stage === "tokens" && verdict === "same")
    ? "same"
    : "partly";
}

/** The last part of a path or an address; an id of the Hub as it is. */
export function modelName(location: string): string {
  const path =
    /^[a-z]+:\/\//i.test(location) && URL.canParse(location) ? new URL(location).pathname : location;
  if (/^\w[\w.-]*\/\w[\w.-]*(@[\w.-]+)?$/.test(path)) return path;
  return path.replace(/[\\/]+$/, "").replace(/^.*[\\/]/, "") || "model";
}

/** The same value with other names for places of this machine, which messages of errors name. @param names by path */
export function withoutPlaces<T>(value: T, names: Readonly<Record<string, string>>): T {
  // Longer ones first: one may lie in another.
  const known = Object.keys(names)
    .filter((place) => place.length > 1)
    .sort((a, b) => b.length - a.length);
  const cut = (found: unknown): unknown => {
    if (typeof found === "string") {
      return known.reduce((rest, place) => rest.replaceAll(place, names[place] as string), found);
    }
    if (Array.isArray(found)) return found.map(cut);
    if (typeof found !== "object" || found === null) return found;
    return Object.fromEntries(Object.entries(found).map(([key, one]) => [key, cut(one)]));
  };
  return cut(value) as T;
}
