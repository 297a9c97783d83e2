/** Errors of a file system (Node's, Deno's, of a picked file) as errors about a checkpoint's file. */
import { type ErrorCode, GlimtError } from "../errors.ts";

const MOST_SHOWN = 200;

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "there is no permission to read it",
  EPERM: "there is no permission to read it",
  ELOOP: "it is a symbolic link that leads round in a circle",
  ENAMETOOLONG: "its name is too long",
  EISDIR: "it is a directory",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
  EIO: "the disk can not read it",
  ERR_INVALID_ARG_VALUE: "the path holds a zero character",
};

/** `path` is what could not be read. A GlimtError is handed through. */
export function fileError(
  path: string,
  error: unknown,
  errorCode: ErrorCode = "CHECKPOINT_INVALID",
): GlimtError {
  if (error instanceof GlimtError) return error;
  const { name, message, code } = (error ?? {}) as { name?: unknown; message?: unknown; code?: unknown };
  const what = path.length > MOST_SHOWN ? `${path.slice(0, MOST_SHOWN)}...` : path;
  const denied = name === "NotCapable" || name === "PermissionDenied";
  const reason = denied
    ? `the program may not read it: run it with --allow-read=${what}`
    : (REASONS[String(code)] ?? String(message ?? error));
  return new GlimtError(errorCode, `${what} can not be read: ${reason}.`, { cause: error });
}
