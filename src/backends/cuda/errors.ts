/** The addon's errors as glimt's own. */
import { ERROR_CODES, type ErrorCode, GlimtError } from "../../errors.ts";

/** Errors of the addon carry one of glimt's codes; anything else passes through. */
export function toGlimtError(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (error instanceof GlimtError || !(ERROR_CODES as readonly unknown[]).includes(code)) return error;
  return new GlimtError(code as ErrorCode, String(message), { cause: error });
}

/** Runs a call into the addon. @throws GlimtError */
export function native<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw toGlimtError(error);
  }
}

/** Like `native`, for a call that returns a promise. */
export async function nativeLater<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw toGlimtError(error);
  }
}
