/** How a command ends that failed. */
import { CommanderError } from "commander";
import { GlimtError } from "../errors.ts";

export interface ReportOptions {
  /** One JSON object on stdout, where the result would be. */
  readonly json: boolean;
  readonly trace: boolean;
}

/** What `--json` says for an error too. */
export const JSON_HELP = "print one JSON object; of an error { error: { code, message } }";

/** @returns the exit status: never 0 for an error */
export function reportError(error: unknown, { json, trace }: ReportOptions): number {
  if (error instanceof CommanderError) {
    // Help, a version, or an error of usage, which was said in words already.
    if (error.exitCode !== 0 && json) printJson("OPTION_INVALID", error.message.replace(/^error: /, ""));
    return error.exitCode;
  }
  const message = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  if (trace) console.error(error);
  if (json) printJson(code, message);
  else if (!trace) {
    console.error(
      `glimt: ${message} [${code}]${error instanceof GlimtError ? "" : " (--trace shows where)"}`,
    );
  }
  return 1;
}

/** Its own, the system's such as ENOSPC, or one for what nobody expected. */
function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : "UNEXPECTED";
}

function printJson(code: string, message: string): void {
  process.stdout.write(`${JSON.stringify({ error: { code, message } })}\n`);
}
