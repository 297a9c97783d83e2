/** Tasks that may run out of memory, where something else can be done then. */
import { GlimtError } from "../errors.ts";

export function isOutOfMemory(error: unknown): error is GlimtError {
  return error instanceof GlimtError && error.code === "OUT_OF_MEMORY";
}

/** The error of a task that ran out of memory, or null. @throws what else it throws */
export function outOfMemory(task: () => void): GlimtError | null {
  try {
    task();
    return null;
  } catch (error) {
    if (isOutOfMemory(error)) return error;
    throw error;
  }
}
