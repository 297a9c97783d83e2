/**
 * Errors of ours that the AI SDK knows too: its `isInstance` looks for symbols, not for classes, so that no code of it is
 * needed here. They stay GlimtErrors with their code.
 */
import { GlimtError } from "../errors.ts";

/** Causes that may be gone when the AI SDK asks again: a server that did not answer, memory that others hold. */
const PASSING: readonly string[] = ["TIMED_OUT", "OUT_OF_MEMORY"];

export function noSuchModel(modelId: string, modelType: string, known: readonly string[]): GlimtError {
  const others = modelType === "languageModel" ? `there are ${known.join(", ") || "none"}` : "glimt has none";
  const error = new GlimtError("OPTION_INVALID", `No such ${modelType}: ${modelId}; ${others}.`);
  return marked(error, "AI_NoSuchModelError", { modelId, modelType });
}

/** @param functionality a short name of what there is not */
export function unsupported(functionality: string, message: string): GlimtError {
  const error = new GlimtError("INPUT_INVALID", message);
  return marked(error, "AI_UnsupportedFunctionalityError", { functionality });
}

/** What a call that failed throws: the signal's reason where it fired, as `fetch` does, which the AI SDK tells from errors. */
export function callError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (!(error instanceof GlimtError)) return error;
  if (error.code === "ABORTED" && signal?.aborted) return signal.reason;
  if (!PASSING.includes(error.code)) return error;
  return marked(error, "AI_APICallError", { isRetryable: true, url: "", requestBodyValues: {} });
}

function marked<Fields extends object>(error: GlimtError, name: string, fields: Fields): GlimtError & Fields {
  const marks = { [Symbol.for("vercel.ai.error")]: true, [Symbol.for(`vercel.ai.error.${name}`)]: true };
  return Object.assign(error, marks, fields);
}
