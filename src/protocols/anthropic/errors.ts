/** What went wrong, as Anthropic's API says it. */
import type { Problem, ProblemKind } from "../errors.ts";

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

/** Of a response, and of the event "error" in a stream. */
export function anthropicError({ kind, message }: Problem, requestId: string): AnthropicError {
  return { type: "error", error: { type: TYPES[kind], message }, request_id: requestId };
}
