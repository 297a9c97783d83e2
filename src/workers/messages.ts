/** What goes between a worker and the thread that started it. */

import { type ErrorCode, GlimtError } from "../errors.ts";

/** The first message of a worker: it is loaded, and of this version. */
export interface Ready {
  readonly ready: string;
}

export interface Call {
  readonly id: number;
  readonly name: string;
  readonly input: unknown;
}

export type Answer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: PackedError };

/** A file of the package that the worker's script has not in it, by name. */
export interface FileAsk {
  readonly asked: number;
  readonly file: string;
}

export type FileReply =
  | { readonly asked: number; readonly result: unknown }
  | { readonly asked: number; readonly error: PackedError };

/** An error with its code, which structured cloning would drop. */
export interface PackedError {
  readonly code: ErrorCode | undefined;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly cause: PackedError | undefined;
}

/** Causes of causes that are kept. */
const MOST_CAUSES = 4;

export function packError(error: unknown, depth = 0): PackedError {
  const isError = error instanceof Error;
  const { cause } = isError ? error : {};
  return {
    code: error instanceof GlimtError ? error.code : undefined,
    name: isError ? error.name : "Error",
    message: isError ? error.message : String(error),
    stack: isError ? error.stack : undefined,
    cause: cause === undefined || depth === MOST_CAUSES ? undefined : packError(cause, depth + 1),
  };
}

export function unpackError({ code, name, message, stack, cause }: PackedError): Error {
  const options = cause === undefined ? {} : { cause: unpackError(cause) };
  const error = code === undefined ? new Error(message, options) : new GlimtError(code, message, options);
  error.name = name;
  if (stack !== undefined) error.stack = stack;
  return error;
}
