import type { Problem } from "../errors.ts";
import { inFields } from "../field-names.ts";

const FIELDS = { maxTokens: "num_predict", repetitionPenalty: "repeat_penalty" };

/** What went wrong, as Ollama says it: of a response, and as the last line of a stream. */
export function ollamaError(problem: Problem): { readonly error: string } {
  return { error: inFields(problem, FIELDS).message };
}
