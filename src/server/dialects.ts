/** Whose words a path is answered in: errors have another shape in each protocol. */
import { anthropicError } from "../protocols/anthropic/errors.ts";
import type { Problem } from "../protocols/errors.ts";
import { ollamaError } from "../protocols/ollama/errors.ts";
import { writeOpenaiError } from "../protocols/openai/errors.ts";

export interface Dialect {
  writeError(problem: Problem, requestId: string): object;
  /** What a stream ends with; default: as `writeError`. */
  writeStreamError?(problem: Problem, requestId: string): object;
  /** Where its clients look for the request's id, beside `x-request-id`. */
  readonly idHeader?: string;
}

const OPENAI: Dialect = { writeError: writeOpenaiError };
const RESPONSES: Dialect = {
  ...OPENAI,
  writeStreamError: (problem) => ({ type: "error", ...writeOpenaiError(problem) }),
};
const ANTHROPIC: Dialect = { writeError: anthropicError, idHeader: "request-id" };
const OLLAMA: Dialect = { writeError: ollamaError };

/** By what a path begins with; the first that does counts. */
const DIALECTS: readonly (readonly [prefix: string, dialect: Dialect])[] = [
  ["/v1/messages", ANTHROPIC],
  ["/api/paas/", OPENAI],
  ["/api/", OLLAMA],
  // GLM-OCR's own server says it in the same words.
  ["/glmocr/", OLLAMA],
  ["/v1/responses", RESPONSES],
  ["/", OPENAI],
];

export function dialectOf(path: string): Dialect {
  return DIALECTS.find(([prefix]) => path.startsWith(prefix))?.[1] ?? OPENAI;
}
