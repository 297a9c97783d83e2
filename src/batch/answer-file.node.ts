/** A file of answers that is written line by line, and is what a run that was ended at any moment goes on from. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { failing, writeAll } from "../checkpoint/write/output-files.node.ts";
import { GlimtError } from "../errors.ts";
import { readAnswerId } from "./answered-lines.ts";
import { readLines } from "./lines.node.ts";

/** What is written may be lost that long when the machine loses power. */
const SYNC_MS = 1000;

/** An answer that the file had. */
export interface FoundAnswer {
  /** Of the input, from 1. */
  readonly number: number;
  readonly key: number;
  readonly failed: boolean;
}

export class AnswerFile {
  readonly path: string;
  readonly #file: FileHandle;
  /** Where the next line is written: behind the last whole one. */
  #end = 0;
  #writing: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #syncing: Promise<void> = Promise.resolve();

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /** @throws OUTPUT_FAILED */
  static async open(path: string): Promise<AnswerFile> {
    return failing(path, async () => {
      // A pipe is opened without waiting for its reader.
      const file = await open(
        path,
        constants.O_RDWR | constants.O_CREAT | (constants.O_NONBLOCK ?? 0),
        0o666,
      );
      const isFile = (await file.stat()).isFile();
      if (isFile) return new AnswerFile(path, file);
      await file.close();
      throw new GlimtError(
        "OUTPUT_FAILED",
        `${path} can not be written: it is no file, which a batch goes on from.`,
      );
    });
  }

  /**
   * The answers that are there. A last line that is not whole, as one that was being written when the process or the machine
   * stopped, is cut off.
   *
   * @throws OUTPUT_FAILED for lines that no batch wrote
   */
  async *found(signal: AbortSignal | undefined): AsyncGenerator<FoundAnswer, void, void> {
    const { size } = await this.#file.stat();
    for await (const { bytes, number, start, end, isEnded } of readLines(this.#file, signal)) {
      const answer = isEnded ? readAnswer(bytes) : null;
      if (answer !== null) {
        yield answer;
        this.#end = end;
      } else if (end < size || !looksBroken(bytes, isEnded)) {
        throw new GlimtError(
          "OUTPUT_FAILED",
          `${this.path} line ${number} is no answer of a batch: write to another file, or move this one away.`,
        );
      } else {
        this.#end = start;
      }
    }
    await failing(this.path, () => this.#file.truncate(this.#end));
  }

  /** Behind what was written before. @throws OUTPUT_FAILED; the file then ends with the last whole line */
  append(line: string): Promise<void> {
    const written = this.#writing.then(async () => {
      const bytes = Buffer.from(`${line}\n`);
      try {
        await writeAll(this.#file, bytes, this.#end);
      } catch (error) {
        await this.#file.truncate(this.#end).catch(() => undefined);
        throw error;
      }
      this.#end += bytes.length;
      this.#timer ??= setTimeout(() => this.#sync(), SYNC_MS);
    });
    this.#writing = written.catch(() => undefined);
    return failing(this.path, () => written);
  }

  /** @throws OUTPUT_FAILED: a disk may say only now that it has no room */
  async close(): Promise<void> {
    await this.#writing;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#syncing;
    try {
      await failing(this.path, () => this.#file.datasync());
    } finally {
      await this.#file.close();
    }
  }

  /** What goes wrong is said when the file is closed. */
  #sync(): void {
    this.#timer = null;
    this.#syncing = this.#syncing.then(() => this.#file.datasync()).catch(() => undefined);
  }
}

function readAnswer(bytes: Uint8Array | null): FoundAnswer | null {
  try {
    const { id, response } = JSON.parse(Buffer.from(bytes ?? []).toString());
    const found = readAnswerId(id);
    return found && { ...found, failed: response?.status_code !== 200 };
  } catch {
    return null;
  }
}

/** Whether a last line may be what is left of an answer: it has no end, or holds bytes that never reached the disk. */
function looksBroken(bytes: Uint8Array | null, isEnded: boolean): boolean {
  const text = Buffer.from(bytes ?? []).toString("latin1");
  return text.includes("\0") || (!isEnded && '{"id":"batch_req_'.startsWith(text.slice(0, 17)));
}
