/** `glimt batch`: a file of requests, answered into another. */
import { Command } from "commander";
import { openBatch } from "../batch/run-batch.node.ts";
import type { BatchProgress } from "../batch.ts";
import { finishWhenInterrupted, interruptible } from "./interruption.ts";
import { wholeNumber } from "./model-options.ts";
import { duration, progressLine } from "./progress-line.ts";
import { JSON_HELP } from "./report.ts";
import {
  answerOptions,
  loadServedModel,
  type NamedModelFlags,
  withModelName,
  withServedModelOptions,
} from "./served-model.ts";
import { withSourceOptions } from "./source-flags.ts";

interface BatchFlags extends NamedModelFlags {
  readonly errors?: string;
  readonly unordered?: true;
  readonly concurrency?: number;
  readonly json?: true;
}

/** Exit statuses: some lines were answered with errors; not all lines were answered, as shells expect it of Ctrl-C. */
const LINES_FAILED = 2;
const INTERRUPTED = 130;
/** Where stderr is no terminal, a line is written so often. */
const REPORT_MS = 30_000;

export function batchCommand(): Command {
  const command = new Command("batch")
    .description(
      "answer a file of requests in OpenAI's batch form; the same command goes on with what was begun",
    )
    .argument("<model>", "model of the Hub (ORG/NAME), checkpoint directory, or the URL of one")
    .argument("<in.jsonl>", "requests, one a line; paths of pictures in it are relative to its folder")
    .argument("<out.jsonl>", "answers, one a line")
    .option("--errors <file.jsonl>", "write errors of lines there, not among the answers")
    .option("--unordered", "write answers as they come, not in the order of their lines")
    .option("--concurrency <n>", "most requests under way (default: as --max-sequences)", wholeNumber);
  return withModelName(
    withServedModelOptions(withSourceOptions(command, "public, and files in the folder of IN.JSONL")),
  )
    .option("--json", JSON_HELP)
    .action(batch);
}

async function batch(location: string, input: string, output: string, flags: BatchFlags): Promise<void> {
  const { errors, unordered, concurrency, json } = flags;
  const report = new Report();
  const stop = new AbortController();
  const signal = interruptible();
  const opened = await openBatch({
    ...answerOptions(location, flags),
    input,
    output,
    errors,
    concurrency,
    unordered,
    signal,
    stopSignal: stop.signal,
    onProgress: (progress) => report.show(progress),
  });
  try {
    const { lines, answered } = opened.known;
    // Reading the weights takes longest.
    if (answered === lines) return end({ ...opened.known, ...NOTHING }, json);
    if (answered > 0) console.error(`${answered} of ${lines} lines are answered already.`);
    const model = await loadServedModel(location, flags, signal);
    try {
      finishWhenInterrupted(() => {
        report.clear();
        console.error(
          "Finishing what runs; the same command goes on behind it. A second signal does not wait.",
        );
        stop.abort();
      });
      const progress = await opened.run(model);
      report.clear();
      end(progress, json);
    } finally {
      report.clear();
      await model.dispose();
    }
  } finally {
    await opened.close();
  }
}

const NOTHING = { promptTokens: 0, completionTokens: 0, milliseconds: 0, secondsLeft: 0 };

function end(progress: BatchProgress, json: true | undefined): void {
  if (json) console.log(JSON.stringify(progress));
  else {
    const took =
      progress.milliseconds > 0 ? `, ${speed(progress)}, in ${duration(progress.milliseconds / 1000)}` : "";
    console.error(`${counts(progress)}${took}`);
  }
  if (progress.answered < progress.lines) process.exitCode = INTERRUPTED;
  else if (progress.failed > 0) process.exitCode = LINES_FAILED;
}

/** What is said while the batch runs. */
class Report {
  readonly #line = progressLine(true);
  #last = performance.now();

  show(progress: BatchProgress): void {
    const { answered, lines, secondsLeft } = progress;
    const left = secondsLeft === null ? "" : `, ${duration(secondsLeft)} left`;
    const text = `${counts(progress)}, ${speed(progress)}${left},`;
    this.#line.show(text, answered / lines);
    if (process.stderr.isTTY || performance.now() - this.#last < REPORT_MS) return;
    this.#last = performance.now();
    console.error(text.replace(/,$/, ""));
  }

  clear(): void {
    this.#line.clear();
  }
}

function counts({ answered, lines, failed }: BatchProgress): string {
  return `${answered} of ${lines} lines answered${failed === 0 ? "" : `, ${failed} with errors`}`;
}

function speed({ completionTokens, milliseconds }: BatchProgress): string {
  return `${((1000 * completionTokens) / milliseconds).toFixed(1)} tokens/s`;
}
