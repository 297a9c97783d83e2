/** What went wrong with a request, in the terms that all protocols have: a status, whose fault it is, and words. */
import { type ErrorCode, GlimtError } from "../errors.ts";

/** Of a request as such, beside what the SDK's own errors say. */
export type ProblemKind =
  | "invalid"
  | "unauthorized"
  | "forbidden"
  | "notFound"
  | "tooLarge"
  | "contextOverflow"
  | "overloaded"
  | "unavailable"
  | "timedOut"
  | "clientGone"
  | "failed";

export const STATUS: Readonly<Record<ProblemKind, number>> = {
  invalid: 400,
  contextOverflow: 400,
  unauthorized: 401,
  forbidden: 403,
  notFound: 404,
  tooLarge: 413,
  overloaded: 429,
  clientGone: 499,
  failed: 500,
  unavailable: 503,
  timedOut: 504,
};

export interface Problem {
  readonly kind: ProblemKind;
  readonly status: number;
  readonly message: string;
  /** The field of the request, where it is known. */
  readonly param: string | null;
  /** A name for programs, where the protocol has one for this. */
  readonly code: string | null;
  /** When to try again. */
  readonly retryAfterSeconds: number | null;
}

export interface ProblemDetails {
  readonly param?: string | undefined;
  readonly code?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

/** Thrown by whoever reads or admits a request. */
export class RequestError extends Error {
  readonly problem: Problem;

  constructor(kind: ProblemKind, message: string, details: ProblemDetails = {}) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.name = "RequestError";
    const { param = null, code = null, retryAfterSeconds = null } = details;
    this.problem = {
      kind,
      status: STATUS[kind],
      message: cut(message, MOST_LETTERS),
      param: param === null ? null : cut(param, MOST_PARAM_LETTERS),
      code,
      retryAfterSeconds,
    };
  }
}

/** What is said of a request may name what it holds, such as a field nobody knows: of any length. */
const [MOST_LETTERS, MOST_PARAM_LETTERS] = [2000, 200];

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** Of errors that are no fault of the request; the others are "invalid". */
const KINDS: Partial<Record<ErrorCode, ProblemKind>> = {
  ABORTED: "clientGone",
  CONTEXT_OVERFLOW: "contextOverflow",
  BACKEND_UNAVAILABLE: "unavailable",
  CACHE_FAILED: "failed",
  CONFIG_INVALID: "failed",
  DEVICE_FAILED: "unavailable",
  DISPOSED: "unavailable",
  GRAPH_INVALID: "failed",
  GROUP_FAILED: "unavailable",
  OUTPUT_FAILED: "failed",
  OUT_OF_MEMORY: "unavailable",
  PROGRAM_INVALID: "failed",
  TOKENIZER_INVALID: "failed",
  WEIGHTS_INVALID: "failed",
};

/** What a stranger is told in place of what only the host should know. */
const HIDDEN: Partial<Record<ErrorCode, string>> = {
  DEVICE_FAILED: "The device that runs the model failed.",
  DISPOSED: "The model was unloaded.",
  GROUP_FAILED: "The devices that share the model failed.",
};

/** Any error as a problem. What nobody expected is told without its words, which may hold anything. */
export function problemOf(error: unknown): Problem {
  if (error instanceof RequestError) return error.problem;
  if (!(error instanceof GlimtError)) return failed("The server failed to answer; its log says why.");
  const kind = KINDS[error.code] ?? "invalid";
  if (kind === "failed") return failed("The server failed to answer; its log says why.");
  return {
    kind,
    status: STATUS[kind],
    message: HIDDEN[error.code] ?? cut(error.message, MOST_LETTERS),
    param: null,
    code: kind === "contextOverflow" ? "context_length_exceeded" : error.code.toLowerCase(),
    retryAfterSeconds: null,
  };
}

function failed(message: string): Problem {
  return { kind: "failed", status: STATUS.failed, message, param: null, code: null, retryAfterSeconds: null };
}
