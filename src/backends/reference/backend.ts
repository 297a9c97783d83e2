/**
 * The reference backend: plain TypeScript, float64 accumulation, activations stored as the program says.
 * Slow and obvious: it is the judge of the other backends.
 */
import type { Backend } from "../backend.ts";
import { ReferenceEngine } from "./engine.ts";

export const referenceBackend: Backend = {
  name: "reference",
  activationDType: "f32",
  supports: (op, { activation }) =>
    activation === "i32" ? { ok: false, reason: `reference: ${op} has no i32 activations.` } : { ok: true },
  probe: async () => ({ ok: true, description: "plain TypeScript, float64 accumulation" }),
  open: async () => new ReferenceEngine(referenceBackend),
};
