/** Misspelt options are errors: they would otherwise do nothing. */
import { GlimtError } from "./errors.ts";

/** @throws OPTION_INVALID naming the option and those there are. */
export function rejectUnknownOptions(options: object, known: readonly string[], what: string): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new GlimtError("OPTION_INVALID", `${what} has no option "${name}"; it has ${known.join(", ")}.`);
    }
  }
}
