#!/usr/bin/env node
/** The `glimt` command. */
import { Command } from "commander";
import { description, version } from "../../package.json";
import { GlimtError } from "../errors.ts";
import { conformanceCommand } from "./conformance.ts";
import { graphCommand } from "./graph.ts";
import { inspectCommand } from "./inspect.ts";
import { planCommand } from "./plan.ts";
import { processCommand } from "./process.ts";
import { runCommand } from "./run.ts";

const program = new Command("glimt")
  .description(description)
  .version(version)
  .option("--trace", "print the stack trace of an error")
  .addCommand(runCommand())
  .addCommand(processCommand())
  .addCommand(planCommand())
  .addCommand(graphCommand())
  .addCommand(inspectCommand())
  .addCommand(conformanceCommand());

/** One line for a person, or the trace when asked; the exit code is never 0. */
function report(error: unknown): void {
  const known = error instanceof GlimtError;
  const trace = program.opts<{ trace?: true }>().trace || process.argv.includes("--trace");
  if (trace) console.error(error);
  else if (known) console.error(`glimt: ${error.message} [${error.code}]`);
  else console.error(`glimt: ${error instanceof Error ? error.message : error} (--trace shows where)`);
  process.exitCode = 1;
}

// A reader that went away (`glimt … | head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  report(error);
}
