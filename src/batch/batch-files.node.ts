/** The files of a batch: requests, their answers, and what of them is there when an earlier run was ended. */
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { GlimtError, throwIfAborted } from "../errors.ts";
import { AnswerFile } from "./answer-file.node.ts";
import { AnsweredLines } from "./answered-lines.ts";
import { checkInput } from "./check-input.node.ts";
import { lockFile } from "./file-lock.node.ts";
import { lineKey, readLines } from "./lines.node.ts";
import {
  type GivenLine,
  type KnownCounts,
  type LineAnswerer,
  LinesRun,
  type RunLimits,
} from "./lines-run.ts";
import type { BatchProgress } from "./progress.ts";

export interface AnswerPaths {
  readonly input: string;
  readonly output: string;
  /** Where lines are told of that failed; undefined: in `output`. */
  readonly errors: string | undefined;
}

/** The files of a batch, read as far as tells what is still to be answered. Nobody else writes to them until `close`. */
export class BatchFiles {
  readonly #closers: (() => Promise<void>)[] = [];
  readonly #paths: AnswerPaths;
  readonly #asked: string;
  #input!: FileHandle;
  #outputs: readonly AnswerFile[] = [];
  #answered!: AnsweredLines;
  #known = { lines: 0, answered: 0, failed: 0 };

  private constructor(paths: AnswerPaths, asked: string) {
    this.#paths = paths;
    this.#asked = asked;
  }

  /**
   * @param asked what is asked beside each line, as text: an output that was begun with another is refused
   * @throws INPUT_INVALID, OUTPUT_FAILED, ABORTED
   */
  static async open(paths: AnswerPaths, asked: string, signal: AbortSignal | undefined): Promise<BatchFiles> {
    throwIfAborted(signal);
    const files = new BatchFiles(paths, asked);
    try {
      await files.#open(signal);
      return files;
    } catch (error) {
      await files.close();
      throw error;
    }
  }

  /** Of the lines of earlier runs. */
  get known(): KnownCounts {
    return this.#known;
  }

  /** Answers all lines that are not. @throws OUTPUT_FAILED, ABORTED, and errors that end the model */
  async answer(answerer: LineAnswerer, limits: RunLimits): Promise<BatchProgress> {
    const [output, errors = output] = this.#outputs as readonly [AnswerFile, AnswerFile?];
    const run = new LinesRun(answerer, limits, this.#known, (text, isFailure) =>
      (isFailure ? errors : output).append(text),
    );
    await run.answerAll(this.#unanswered());
    return run.progress;
  }

  /** @throws OUTPUT_FAILED for what did not reach the disk */
  async close(): Promise<void> {
    const results: PromiseSettledResult<void>[] = [];
    for (const close of this.#closers.splice(0).reverse())
      results.push(...(await Promise.allSettled([close()])));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  async #open(signal: AbortSignal | undefined): Promise<void> {
    const { input, output, errors } = this.#paths;
    const file = await openInput(input);
    this.#input = file;
    this.#closers.push(() => file.close());
    this.#answered = new AnsweredLines((await file.stat()).size);
    for (const path of errors === undefined ? [output] : [output, errors]) {
      await refuseSame(path, input, "it is the input");
      if (path === errors)
        await refuseSame(path, output, "it is the output; leave out errors to have both in it");
      this.#closers.push(await lockFile(path));
      const opened = await AnswerFile.open(path);
      this.#closers.push(() => opened.close());
      this.#outputs = [...this.#outputs, opened];
      await this.#readAnswers(opened, signal);
    }
    const lines = await checkInput(input, file, this.#answered, this.#asked, signal);
    this.#known = { ...this.#known, lines, answered: this.#answered.count };
  }

  async #readAnswers(opened: AnswerFile, signal: AbortSignal | undefined): Promise<void> {
    for await (const { number, key, failed } of opened.found(signal)) {
      if (!this.#answered.add(number, key)) throw notOfInput(opened.path, number, this.#paths.input);
      if (failed) this.#known.failed++;
    }
  }

  async *#unanswered(): AsyncGenerator<GivenLine, void, void> {
    for await (const { number, bytes } of readLines(this.#input)) {
      if (!this.#answered.has(number)) yield { number, bytes, key: lineKey(this.#asked, bytes) };
    }
  }
}

function notOfInput(path: string, number: number, input: string): GlimtError {
  return new GlimtError(
    "OUTPUT_FAILED",
    `${path} answers line ${number} twice, or ${input} has no such line: write to another file, or move this one away.`,
  );
}

async function openInput(path: string): Promise<FileHandle> {
  const unreadable = (reason: string, cause?: unknown) =>
    new GlimtError("INPUT_INVALID", `${path} can not be read: ${reason}.`, { cause });
  // A pipe is opened without waiting for its writer.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(
    (cause: NodeJS.ErrnoException) => {
      throw unreadable(cause.code === "ENOENT" ? "there is no such file" : cause.message, cause);
    },
  );
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw unreadable("it is no file; a batch is read twice, and again where a run goes on");
}

/** Of two names, or links. @throws OUTPUT_FAILED where `path` is the file that `other` is */
async function refuseSame(path: string, other: string, problem: string): Promise<void> {
  const [there, known] = await Promise.all(
    [path, other].map((name) => stat(name, { bigint: true }).catch(() => null)),
  );
  if (!there || there.dev !== known?.dev || there.ino !== known.ino) return;
  throw new GlimtError("OUTPUT_FAILED", `${path} can not be written: ${problem}.`);
}
