/** A file of requests in OpenAI's form, answered by a model into another file. */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { GlimtError } from "../errors.ts";
import { readOptions, shown } from "../given.ts";
import { PUBLIC_SOURCES, type Sources } from "../media/sources/source-rule.ts";
import type { ServedModel } from "../protocols/served-model.ts";
import {
  ANSWER_OPTION_KINDS,
  ANSWER_OPTION_NAMES,
  type AnswerOptions,
  answerPolicy,
  checkCount,
} from "./answer-policy.ts";
import { type AnswerPaths, BatchFiles } from "./batch-files.node.ts";
import type { KnownCounts, LineAnswerer } from "./lines-run.ts";
import { withResolvedPaths } from "./media-paths.ts";
import { OpenaiAnswerer } from "./openai-answerer.ts";
import type { BatchProgress } from "./progress.ts";

export interface BatchOptions extends AnswerOptions {
  /** The requests, one a line: `{"custom_id", "method": "POST", "url": "/v1/chat/completions", "body"}`. */
  readonly input: string | URL;
  /** Where the answers are written, one a line. One that an earlier run has begun is gone on with. */
  readonly output: string | URL;
  /** Where errors are written that lines are answered with; default: in `output`. */
  readonly errors?: string | URL | undefined;
  /** Most requests under way (default: as many as a step of the model is shared by). */
  readonly concurrency?: number | undefined;
  /** Write answers as they come, not in the order of their lines (default false). */
  readonly unordered?: boolean | undefined;
  /**
   * Where pictures and videos may be read from; paths are relative to the folder of `input`. Default: what is in the
   * requests, public hosts, and files in that folder.
   */
  readonly sources?: Sources | undefined;
  /** Ends the run with ABORTED; requests under way are asked again by the next run. */
  readonly signal?: AbortSignal | undefined;
  /** No request is begun any more: those under way are answered, and `runBatch` returns. */
  readonly stopSignal?: AbortSignal | undefined;
  /** Told of each line that is answered. */
  readonly onProgress?: ((progress: BatchProgress) => void) | undefined;
}

const OPTION_NAMES: readonly (keyof BatchOptions)[] = [
  "input",
  "output",
  "errors",
  ...ANSWER_OPTION_NAMES,
  "concurrency",
  "unordered",
  "sources",
  "signal",
  "stopSignal",
  "onProgress",
];
const OPTION_KINDS = { ...ANSWER_OPTION_KINDS, unordered: "boolean", stopSignal: "signal" } as const;

/**
 * Answers a batch file, many lines at once; each line once, whenever an earlier run was ended. A line that fails is
 * answered with its error, and the others go on.
 *
 * @returns how far it came: all lines are answered but where `stopSignal` fired
 * @throws INPUT_INVALID for a file that can not be read, has a custom_id twice, or has changed since its answers were begun;
 * OUTPUT_FAILED; OPTION_INVALID; ABORTED; DEVICE_FAILED, GROUP_FAILED, BACKEND_UNAVAILABLE, DISPOSED when the model answers
 * no more. What is written stays, and the next run goes on behind it.
 */
export async function runBatch(model: ServedModel, options: BatchOptions): Promise<BatchProgress> {
  const batch = await openBatch(options);
  try {
    return await batch.run(model);
  } finally {
    await batch.close();
  }
}

/** A batch whose files are checked, before a model is needed. */
export interface OpenedBatch {
  /** Of the lines of earlier runs. */
  readonly known: KnownCounts;
  run(model: ServedModel): Promise<BatchProgress>;
  close(): Promise<void>;
}

/** @throws what `runBatch` does for options and files */
export async function openBatch(given: BatchOptions): Promise<OpenedBatch> {
  const options = readOptions(given ?? (null as never), "runBatch", OPTION_NAMES, OPTION_KINDS);
  const { unordered = false, signal, stopSignal, onProgress, concurrency } = options;
  const input = pathOf("input", options.input);
  const folder = dirname(input);
  const policy = answerPolicy(options, options.sources ?? { ...PUBLIC_SOURCES, folders: [folder] });
  checkCount("concurrency", concurrency);
  const signals = [signal, stopSignal].filter((given) => given !== undefined);
  // Nothing is under way yet that could be finished.
  const files = await BatchFiles.open(pathsOf(options, input), policy.asked, AbortSignal.any(signals));
  return {
    known: files.known,
    run(model) {
      const most = concurrency ?? model.stats().maxSequences;
      const limits = { concurrency: most, unordered, signal, stopSignal, onProgress };
      const answerer = new OpenaiAnswerer(model, policy.name, policy.of(model));
      return files.answer(inFolder(answerer, folder), limits);
    },
    close: () => files.close(),
  };
}

/** Paths of pictures are relative to the folder. */
function inFolder(answerer: OpenaiAnswerer, folder: string): LineAnswerer {
  return {
    answer: ({ url, body }, context) =>
      answerer.answer({ url, body: withResolvedPaths(body, (path) => resolve(folder, path)) }, context),
    failure: (error) => answerer.failure(error),
  };
}

function pathsOf(options: BatchOptions, input: string): AnswerPaths {
  const output = pathOf("output", options.output);
  const errors = options.errors === undefined ? undefined : pathOf("errors", options.errors);
  if (output !== errors) return { input, output, errors };
  throw invalid("errors and output are one file; leave out errors to have both in it.");
}

function pathOf(option: string, given: string | URL): string {
  try {
    if (typeof given === "string" && given !== "") return resolve(given);
    if (given instanceof URL) return fileURLToPath(given);
  } catch (cause) {
    throw new GlimtError("OPTION_INVALID", `${option}: ${(cause as Error).message}.`, { cause });
  }
  throw invalid(`${option} is ${shown(given)}, expected a file's path.`);
}

function invalid(message: string): GlimtError {
  return new GlimtError("OPTION_INVALID", message);
}
