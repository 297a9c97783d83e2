/** Problems as OpenAI's API tells them; its clients choose an error class by the status. */
import type { Problem, ProblemKind } from "../errors.ts";

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

export function writeOpenaiError({ kind, message, param, code }: Problem) {
  return { error: { message, type: TYPES[kind], param, code } };
}
