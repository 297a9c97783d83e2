/** Picks the backend: the one named, or the best that probes well, with the reasons the better ones were refused. */

import type { Backend, BackendName, EngineReport } from "../backends/backend.ts";
import { GlimtError } from "../errors.ts";
import { shown } from "../given.ts";

export interface BackendChoice {
  readonly backend: Backend;
  /** What was found. */
  readonly report: EngineReport;
  /** Why each better backend was not taken. */
  readonly refused: readonly { readonly backend: BackendName; readonly reason: string }[];
}

/**
 * @param devices that will be opened, where they were named
 * @throws BACKEND_UNAVAILABLE with the reason and what to do, OPTION_INVALID for a name that does not exist.
 */
export async function chooseBackend(
  backends: readonly Backend[],
  wanted: BackendName | "auto",
  devices?: readonly number[],
): Promise<BackendChoice> {
  const names = backends.map(({ name }) => name);
  const candidates = wanted === "auto" ? backends : backends.filter(({ name }) => name === wanted);
  if (candidates.length === 0) {
    const known = ["auto", "cuda", "wasm", "reference"].includes(wanted);
    throw new GlimtError(
      known ? "BACKEND_UNAVAILABLE" : "OPTION_INVALID",
      `The backend ${shown(wanted)} is ${known ? "not part of this build" : "unknown"}; there is auto, ${names.join(", ")}.`,
    );
  }
  const refused: { backend: BackendName; reason: string }[] = [];
  for (const backend of candidates) {
    const probe = await backend.probe(devices);
    if (probe.ok) {
      const { ok: _, ...report } = probe;
      return { backend, report, refused };
    }
    if (!probe.isAbsent || wanted !== "auto") refused.push({ backend: backend.name, reason: probe.reason });
  }
  const reasons = refused.map(({ backend, reason }) => `${backend}: ${reason}`);
  const problem =
    wanted === "auto" ? "No backend can run here." : "The backend that was asked for can not run here.";
  throw new GlimtError("BACKEND_UNAVAILABLE", `${problem} ${reasons.join(" ")}`);
}
