#!/usr/bin/env node
/** The `glimt` command. */
import { Command } from "commander";
import { description, version } from "../../package.json";
import { batchCommand } from "./batch.ts";
import { benchCommand } from "./bench.ts";
import { chatCommand } from "./chat.ts";
import { conformanceCommand } from "./conformance.ts";
import { demoCommand } from "./demo.ts";
import { byFlagNames } from "./flag-names.ts";
import { graphCommand } from "./graph.ts";
import { inspectCommand } from "./inspect.ts";
import { interruptedStatus, listenForInterruption } from "./interruption.ts";
import { listCommand } from "./list.ts";
import { ocrCommand } from "./ocr.ts";
import { planCommand } from "./plan.ts";
import { processCommand } from "./process.ts";
import { pullCommand } from "./pull.ts";
import { quantizeCommand } from "./quantize.ts";
import { reportError } from "./report.ts";
import { rmCommand } from "./rm.ts";
import { runCommand } from "./run.ts";
import { serveCommand } from "./serve.ts";
import { verifyCommand } from "./verify.ts";
import { workerCommand } from "./worker.ts";

const commands = [
  runCommand(),
  chatCommand(),
  ocrCommand(),
  demoCommand(),
  serveCommand(),
  batchCommand(),
  workerCommand(),
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

/** What was typed; where it names a command that there is not the name alone: help of it would be help of all. */
function asked(typed: string[]): string[] {
  const [first, second] = program.parseOptions(typed).operands;
  const name = first === "help" ? second : first;
  const isKnown =
    name === undefined || name === "help" || commands.some((command) => command.name() === name);
  return isKnown ? typed : [name];
}

try {
  await program.parseAsync(asked(process.argv.slice(2)), { from: "user" });
} catch (error) {
  const command = commands.find((command) => command.name() === program.args[0]);
  process.exitCode = interruptedStatus() ?? reportError(byFlagNames(error, command), { json, trace });
}
const interrupted = interruptedStatus();
if (interrupted !== null) process.exit(interrupted);
