/** Problems as OpenAI's API tells them; its clients choose an error class by the status. */
import type { Problem, ProblemKind } from "../errors.ts";
import { inFields } from "../field-names.ts";

const TYPES: Readonly<Record<ProblemKind, string>> = {
  invalid: "invalid_request_error",
  contextOverflow: "invalid_request_error",
  tooLarge: "invalid_request_error",
  notFound: "invalid_request_error",
  unauthorized: "authentication_error",
  forbidden: "permission_error",
  overloaded: "rate_limit_error",
  clientGone: "aborted",
  timedOut: "timeout_error",
  unavailable: "unavailable_error",
  failed: "server_error",
};

/** vLLM's name. */
const FIELDS = { thinkingBudget: "thinking_token_budget" };

export function writeOpenaiError(problem: Problem) {
  const { kind, message, param, code } = inFields(problem, FIELDS);
  return { error: { message, type: TYPES[kind], param, code } };
}
