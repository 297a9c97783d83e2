/** What went wrong, as Anthropic's API says it. */
import type { Problem, ProblemKind } from "../errors.ts";
import { inFields } from "../field-names.ts";

const TYPES: Readonly<Record<ProblemKind, string>> = {
  invalid: "invalid_request_error",
  contextOverflow: "invalid_request_error",
  unauthorized: "authentication_error",
  forbidden: "permission_error",
  notFound: "not_found_error",
  tooLarge: "request_too_large",
  overloaded: "rate_limit_error",
  unavailable: "overloaded_error",
  timedOut: "timeout_error",
  clientGone: "api_error",
  failed: "api_error",
};

export interface AnthropicError {
  readonly type: "error";
  readonly error: { readonly type: string; readonly message: string };
  readonly request_id: string;
}

const FIELDS = { stop: "stop_sequences", thinkingBudget: "thinking.budget_tokens" };

/** Of a response, and of the event "error" in a stream. */
export function anthropicError(problem: Problem, requestId: string): AnthropicError {
  const { kind, message } = inFields(problem, FIELDS);
  return { type: "error", error: { type: TYPES[kind], message }, request_id: requestId };
}
