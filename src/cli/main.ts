#!/usr/bin/env node
/** The `glimt` command. */
import { Command } from "commander";
import { description, version } from "../../package.json";
import { benchCommand } from "./bench.ts";
import { conformanceCommand } from "./conformance.ts";
import { byFlagNames } from "./flag-names.ts";
import { graphCommand } from "./graph.ts";
import { inspectCommand } from "./inspect.ts";
import { interruptedStatus, listenForInterruption } from "./interruption.ts";
import { listCommand } from "./list.ts";
import { planCommand } from "./plan.ts";
import { processCommand } from "./process.ts";
import { pullCommand } from "./pull.ts";
import { quantizeCommand } from "./quantize.ts";
import { reportError } from "./report.ts";
import { rmCommand } from "./rm.ts";
import { runCommand } from "./run.ts";
import { verifyCommand } from "./verify.ts";

const commands = [
  runCommand(),
  pullCommand(),
  listCommand(),
  rmCommand(),
  quantizeCommand(),
  processCommand(),
  planCommand(),
  graphCommand(),
  inspectCommand(),
  benchCommand(),
  verifyCommand(),
  conformanceCommand(),
];
const json = process.argv.includes("--json");
const trace = process.argv.includes("--trace");

const program = new Command("glimt")
  .description(description)
  .version(version)
  .option("--trace", "print the stack trace of an error");
for (const command of commands) program.addCommand(command);
for (const command of [program, ...commands]) {
  command.exitOverride().configureOutput({
    outputError: (text, write) => (json ? undefined : write(`${text}${seeHelp(command)}`)),
  });
  for (const option of command.options) {
    // In help, in place of "[]".
    if (Array.isArray(option.defaultValue)) option.default(option.defaultValue, "none");
  }
}

// A reader that went away (`glimt … | head`) is no failure.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    // A full disk. Nothing more can be said on stdout.
    process.exit(stream === process.stdout ? reportError(error, { json: false, trace }) : 1);
  });
}
listenForInterruption();

/** Behind an error of usage. */
function seeHelp(command: Command): string {
  return `See ${command === program ? "glimt" : `glimt ${command.name()}`} --help.\n`;
}

try {
  await program.parseAsync();
} catch (error) {
  const command = commands.find((command) => command.name() === program.args[0]);
  process.exitCode = interruptedStatus() ?? reportError(byFlagNames(error, command), { json, trace });
}
const interrupted = interruptedStatus();
if (interrupted !== null) process.exit(interrupted);
